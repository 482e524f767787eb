package main

import (
	"cmp"
	"encoding/json"
	"fmt"
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
	cmd.AddCommand(newAuditTail(a, find), newAuditVerify(a, find))
	return cmd
}

func newAuditTail(a *app, find func() (string, error)) *cobra.Command {
	var lines int
	var follow bool
	cmd := &cobra.Command{
		Use: "tail", Short: "Print the newest records", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			dir, err := find()
			if err != nil {
				return err
			}
			for r, err := range audit.Tail(cmd.Context(), dir, lines, follow) {
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
	cmd.Flags().IntVarP(&lines, "lines", "n", 20, "how many records to print")
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
	return &cobra.Command{
		Use: "verify", Short: "Check that nobody has touched the audit log", Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			dir, err := find()
			if err != nil {
				return err
			}
			report, err := audit.Verify(dir)
			if a.output == "json" && err == nil {
				return a.json(report)
			}
			if err != nil {
				return err
			}
			return a.verdict(report)
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
	return a.printf("%d records in %d segments, unbroken%s\n", r.Records, r.Segments, torn)
}

// line is a record for people: when, through which door, how it ended, who and
// what. The outcome stands before all that callers choose, and what they choose
// is cut, so that nobody can hide or forge it.
func line(r audit.Record) string {
	when := r.Time.Local().Format(time.DateTime)
	if r.Type != audit.TypeCall {
		return fmt.Sprintf("%s  %-7s %s", when, printable(r.Type), printable(strings.Join(nonEmpty(r.Code, r.Actor, r.Cause, r.Detail), "  ")))
	}
	who := cmp.Or(r.Principal.Name, r.Principal.ID, "nobody")
	outcome := r.Code
	if r.ToolError {
		outcome = "TOOL_ERROR"
	}
	if r.By != "" {
		outcome += " by " + r.By
	}
	took := time.Duration(r.DurationUS) * time.Microsecond
	return fmt.Sprintf("%s  %-7s %s  %s  %s %s  %s", when, printable(r.Via), printable(outcome),
		cut(who, 40), printable(r.Op), printable(cmp.Or(r.Object, r.Name)), took)
}

func nonEmpty(all ...string) []string {
	return slices.DeleteFunc(all, func(s string) bool { return s == "" })
}
