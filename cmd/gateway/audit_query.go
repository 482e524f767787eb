package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"strconv"
	"time"

	"github.com/spf13/cobra"

	"github.com/trilith-gateway/trilith/gateway/audit"
)

// filterFlags are the flags of an [audit.Filter].
type filterFlags struct {
	filter       audit.Filter
	since, until string
}

func (f *filterFlags) add(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVar(&f.filter.Who, "who", "", "principal or actor, a pattern with * and ?")
	flags.StringVar(&f.filter.Tenant, "tenant", "", "tenant of the principal")
	flags.StringVar(&f.filter.What, "what", "", "object, such as 'tool/crm/*'")
	flags.StringSliceVar(&f.filter.Types, "type", nil, "types of records, such as call, list, door")
	flags.StringSliceVar(&f.filter.Ops, "op", nil, "operations, such as call, read")
	flags.StringSliceVar(&f.filter.Via, "via", nil, "doors: mcp, graphql, grpc, rest")
	flags.StringSliceVar(&f.filter.Codes, "code", nil, "outcomes, such as OK, PERMISSION_DENIED")
	flags.StringVar(&f.filter.By, "by", "", "who refused, a pattern")
	flags.StringVar(&f.filter.Rule, "rule", "", "rule that refused, a pattern")
	flags.StringVar(&f.filter.Policy, "policy", "", "version of the policy")
	flags.StringVar(&f.filter.Source, "source", "", "source of the object")
	flags.StringVar(&f.filter.Login, "session", "", "session of a browser, as sessions list has it")
	flags.StringVar(&f.filter.Trace, "trace", "", "identifier of a trace")
	flags.StringVar(&f.filter.ID, "id", "", "identifier of a call, with its intent and the calls it made")
	flags.StringVar(&f.since, "since", "", "first moment: RFC 3339, or how long ago, such as 24h")
	flags.StringVar(&f.until, "until", "", "end: RFC 3339, or how long ago")
}

// get returns the filter that the flags ask for.
func (f *filterFlags) get() (audit.Filter, error) {
	var err error
	if f.filter.From, err = moment(f.since); err != nil {
		return f.filter, err
	}
	if f.filter.Until, err = moment(f.until); err != nil {
		return f.filter, err
	}
	return f.filter, f.filter.Check()
}

// moment reads a time, or how long ago it was.
func moment(s string) (time.Time, error) {
	if s == "" {
		return time.Time{}, nil
	}
	if ago, err := time.ParseDuration(s); err == nil && ago >= 0 {
		return time.Now().Add(-ago), nil
	}
	t, err := time.Parse(time.RFC3339, s)
	if err != nil {
		return t, fmt.Errorf("%q is neither a time such as 2026-11-23T12:00:00Z nor a duration such as 24h", s)
	}
	return t, nil
}

func newAuditQuery(a *app, find func() (string, error)) *cobra.Command {
	var flags filterFlags
	var q audit.Query
	cmd := &cobra.Command{
		Use: "query", Short: "Search the audit log", Args: cobra.NoArgs,
		Long: `Search the audit log, the newest records first. It reads an index beside the log, which a gateway that
runs keeps up to date, and which is made here otherwise.`,
		RunE: func(cmd *cobra.Command, _ []string) (err error) {
			dir, err := find()
			if err != nil {
				return err
			}
			if q.Filter, err = flags.get(); err != nil {
				return err
			}
			index, err := audit.OpenIndex(cmd.Context(), dir)
			if err != nil {
				return err
			}
			defer func() {
				if e := index.Close(); err == nil {
					err = e
				}
			}()
			if err := index.Update(cmd.Context()); err != nil {
				return err
			}
			page, err := index.Query(cmd.Context(), q)
			if err != nil {
				return err
			}
			for _, r := range page.Records {
				if err := a.record(r); err != nil {
					return err
				}
			}
			if page.Next != "" {
				_, err = fmt.Fprintf(a.std.err, "more with --cursor %s\n", page.Next)
			}
			return err
		},
	}
	flags.add(cmd)
	cmd.Flags().IntVarP(&q.Limit, "limit", "n", 100, "how many records to print, at most 1000")
	cmd.Flags().BoolVar(&q.Oldest, "oldest", false, "begin with the oldest")
	cmd.Flags().StringVar(&q.Cursor, "cursor", "", "go on where the page before ended")
	return cmd
}

func newAuditExport(a *app, find func() (string, error)) *cobra.Command {
	var flags filterFlags
	var format string
	cmd := &cobra.Command{
		Use: "export", Short: "Write the audit log in another form", Args: cobra.NoArgs,
		Long: `Write records to standard output, the oldest first: as they stand in the log (jsonl), as events of the
Open Cybersecurity Schema Framework (ocsf), or as syslog messages of RFC 5424 with their lengths (syslog).
To send records on as they come, configure audit.exports.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			dir, err := find()
			if err != nil {
				return err
			}
			filter, err := flags.get()
			if err != nil {
				return err
			}
			_, err = audit.Write(cmd.Context(), a.std.out, dir, filter, audit.Format(format))
			return err
		},
	}
	flags.add(cmd)
	cmd.Flags().StringVar(&format, "format", "jsonl", "jsonl, ocsf or syslog")
	return cmd
}

func newAuditProve(a *app, find func() (string, error)) *cobra.Command {
	var since, check string
	var keys []string
	cmd := &cobra.Command{
		Use: "prove [SEQ]", Short: "Prove that the audit log holds a record, or has only grown", Args: cobra.MaximumNArgs(1),
		Long: `Print a proof as JSON that the log holds the record of that number, or with --since that it still holds
all that an older checkpoint covers. Whoever has the log's public key can check it without the log:
gateway audit prove --check FILE --key KEY.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			if check != "" {
				return a.checkProof(check, keys)
			}
			dir, err := find()
			if err != nil {
				return err
			}
			var proof audit.Proof
			switch {
			case since != "":
				old, err := os.ReadFile(since) //nolint:gosec // the operator names it.
				if err != nil {
					return err
				}
				if proof, err = audit.ProveSince(cmd.Context(), dir, old); err != nil {
					return err
				}
			case len(args) == 1:
				seq, err := strconv.ParseInt(args[0], 10, 64)
				if err != nil {
					return fmt.Errorf("%q is not the number of a record", args[0])
				}
				if proof, err = audit.Prove(cmd.Context(), dir, seq); err != nil {
					return err
				}
			default:
				return fmt.Errorf("name a record, or a checkpoint with --since")
			}
			return a.printf("%s\n", proof)
		},
	}
	cmd.Flags().StringVar(&since, "since", "", "file with an older checkpoint")
	cmd.Flags().StringVar(&check, "check", "", "check the proof in this file instead")
	cmd.Flags().StringArrayVar(&keys, "key", nil, "public key of the log, to check with")
	return cmd
}

// maxProof bounds the bytes of a proof.
const maxProof = 1 << 20

// checkProof says what the proof in a file shows.
func (a *app) checkProof(file string, keys []string) error {
	f, err := os.Open(file) //nolint:gosec // the operator names it.
	if err != nil {
		return err
	}
	defer f.Close() //nolint:errcheck // only read.
	text, err := io.ReadAll(io.LimitReader(f, maxProof))
	if err != nil {
		return err
	}
	var proof audit.Proof
	if err := json.Unmarshal(text, &proof); err != nil {
		return fmt.Errorf("%s is not a proof: %w", file, err)
	}
	if len(keys) == 0 {
		return fmt.Errorf("give the log's public key with --key; gateway audit key prints it")
	}
	point, r, err := proof.Check(keys...)
	switch {
	case err != nil:
		return err
	case proof.Record == "":
		return a.printf("%s: the log has only grown, to %d records\n", printable(point.Origin), point.Seq)
	}
	return a.printf("%s: record %d is one of %d\n%s\n", printable(point.Origin), r.Seq, point.Seq, line(r))
}
