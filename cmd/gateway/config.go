package main

import (
	"errors"

	"github.com/spf13/cobra"

	"github.com/trilith-gateway/trilith/gateway/config"
)

func newConfig(a *app) *cobra.Command {
	cmd := &cobra.Command{Use: "config", Short: "Check a configuration and learn its keys"}
	cmd.AddCommand(newConfigLint(a), newConfigDescribe(a))
	return cmd
}

func newConfigLint(a *app) *cobra.Command {
	return &cobra.Command{
		Use: "lint FILE", Short: "Report every problem of a configuration", Args: cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			_, err := config.Load(args[0])
			var problems config.Problems
			if err != nil && !errors.As(err, &problems) {
				return err
			}
			if a.output == "json" {
				if problems == nil {
					problems = config.Problems{}
				}
				return errors.Join(a.json(problems), problemsFound(problems))
			}
			for _, p := range problems {
				if err := a.printf("%s\n", p); err != nil {
					return err
				}
			}
			if len(problems) == 0 {
				return a.printf("%s: no problems\n", args[0])
			}
			return problemsFound(problems)
		},
	}
}

func problemsFound(p config.Problems) error {
	if len(p) == 0 {
		return nil
	}
	return errors.New("the configuration has problems")
}

func newConfigDescribe(a *app) *cobra.Command {
	return &cobra.Command{
		Use: "describe", Short: "Print the reference of all keys, or with -o json the JSON Schema for editors", Args: cobra.NoArgs,
		RunE: func(*cobra.Command, []string) error {
			if a.output != "json" {
				return config.Reference(a.std.out)
			}
			b, err := config.JSONSchema()
			if err != nil {
				return err
			}
			_, err = a.std.out.Write(b)
			return err
		},
	}
}
