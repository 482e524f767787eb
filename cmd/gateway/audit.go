package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/trilith-gateway/trilith/gateway/audit"
	"github.com/trilith-gateway/trilith/gateway/config"
)

func newAudit(a *app) *cobra.Command {
	var dir, file string
	cmd := &cobra.Command{
		Use: "audit", Short: "Read and verify the audit log",
		Long: `Read and verify the audit log, of a gateway that runs or from a copied folder. The log is found by
--dir, else by --config, else by --data, else it is that of gateway dev.`,
	}
	find := func() (string, error) {
		switch {
		case dir != "":
			return dir, nil
		case file != "":
			cfg, err := config.Load(file)
			if err != nil {
				return "", err
			}
			return cfg.AuditDir(), nil
		}
		data, err := a.devData()
		return filepath.Join(data, "audit"), err
	}
	cmd.PersistentFlags().StringVar(&dir, "dir", "", "directory of the audit log")
	cmd.PersistentFlags().StringVar(&file, "config", "", "configuration that says where the audit log is")
	cmd.AddCommand(newAuditTail(a, find), newAuditVerify(a, find), newAuditKey(a, find),
		newAuditQuery(a, find), newAuditProve(a, find), newAuditExport(a, find))
	return cmd
}

func newAuditTail(a *app, find func() (string, error)) *cobra.Command {
	var lines int
	var follow bool
	var flags filterFlags
	cmd := &cobra.Command{
		Use: "tail", Short: "Print the newest records", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			dir, err := find()
			if err != nil {
				return err
			}
			filter, err := flags.get()
			if err != nil {
				return err
			}
			for r, err := range audit.Tail(cmd.Context(), dir, lines, follow) {
				if err == nil && !filter.Match(&r) {
					continue
				}
				if err == nil {
					err = a.record(r)
				}
				if err != nil {
					return err
				}
			}
			return nil
		},
	}
	cmd.Flags().IntVarP(&lines, "lines", "n", 20, "how many records to look at first")
	flags.add(cmd)
	cmd.Flags().BoolVarP(&follow, "follow", "f", false, "wait for more")
	return cmd
}

// record prints one record on one line.
func (a *app) record(r audit.Record) error {
	if a.output == "json" {
		b, err := json.Marshal(r)
		if err != nil {
			return err
		}
		return a.printf("%s\n", safeJSON(b))
	}
	return a.printf("%s\n", line(r))
}

func newAuditVerify(a *app, find func() (string, error)) *cobra.Command {
	var keys, points []string
	cmd := &cobra.Command{
		Use: "verify [DIR]", Short: "Check that nobody has touched the audit log", Args: cobra.MaximumNArgs(1),
		Long: `Check that nobody has touched the audit log: every record in its place, none missing, every checkpoint
signed and with the root that the records have. It works on a copied folder too. Whoever owns the disk
can write a whole new log with a new key; give --key and --checkpoint from copies kept elsewhere to
find that.`,
		RunE: func(_ *cobra.Command, args []string) error {
			dir, err := find()
			if len(args) > 0 {
				dir, err = args[0], nil
			}
			if err != nil {
				return err
			}
			proofs := audit.Proofs{Keys: keys}
			for _, file := range points {
				text, err := os.ReadFile(file) //nolint:gosec // The person at the terminal names it.
				if err != nil {
					return err
				}
				proofs.Checkpoints = append(proofs.Checkpoints, text)
			}
			report, err := audit.Verify(dir, proofs)
			if a.output == "json" && err == nil {
				return a.json(report)
			}
			if err != nil {
				return err
			}
			return a.verdict(report)
		},
	}
	cmd.Flags().StringArrayVar(&keys, "key", nil, "public key of the log, as audit key prints it, instead of those beside the log")
	cmd.Flags().StringArrayVar(&points, "checkpoint", nil, "file with a checkpoint that was kept elsewhere")
	return cmd
}

func newAuditKey(a *app, find func() (string, error)) *cobra.Command {
	return &cobra.Command{
		Use: "key", Short: "Print the public keys of the audit log, the newest last", Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			dir, err := find()
			if err != nil {
				return err
			}
			keys, err := audit.PublicKeys(dir)
			if err != nil {
				return err
			}
			if a.output == "json" {
				return a.json(keys)
			}
			return a.printf("%s\n", strings.Join(keys, "\n"))
		},
	}
}

// verdict says what was seen of a log that is in order.
func (a *app) verdict(r audit.Report) error {
	if r.Records == 0 {
		return a.printf("the log has no record yet\n")
	}
	torn := ""
	if r.Torn > 0 {
		torn = fmt.Sprintf("; %d bytes of an incomplete record at the end: one being written now, or cut off by a crash", r.Torn)
	}
	from := ""
	if r.First > 1 {
		from = fmt.Sprintf(" from record %d on", r.First)
	}
	return a.printf("%d records in %d segments, unbroken%s; signed up to record %d by %d checkpoints%s\n",
		r.Records-max(r.First-1, 0), r.Segments, from, r.Checkpoint, r.Checkpoints, torn)
}

// line is a record for people: when, through which door, how it ended, who and
// what. The outcome stands before all that callers choose, and what they choose
// is cut, so that nobody can hide or forge it.
func line(r audit.Record) string {
	when := r.Time.Local().Format(time.DateTime)
	if r.Type != audit.TypeCall && r.Type != audit.TypeIntent && r.Type != audit.TypeList {
		return fmt.Sprintf("%s  %-7s %s", when, printable(r.Type), printable(strings.Join(nonEmpty(r.Code, r.Actor, r.Cause, r.Detail), "  ")))
	}
	who := cmp.Or(r.Principal.Name, r.Principal.ID, "nobody")
	outcome := cmp.Or(r.Code, "INTENT")
	if r.ToolError {
		outcome = "TOOL_ERROR"
	}
	if r.By != "" {
		outcome += " by " + r.By
	}
	took := time.Duration(r.DurationUS) * time.Microsecond
	return fmt.Sprintf("%s  %-7s %s  %s  %s %s  %s", when, printable(r.Via), printable(outcome),
		cut(who, 40), printable(r.Op), printable(cmp.Or(r.Object, r.Name, r.Kind)), took)
}

func nonEmpty(all ...string) []string {
	return slices.DeleteFunc(all, func(s string) bool { return s == "" })
}
