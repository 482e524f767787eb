package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"slices"

	"github.com/spf13/cobra"

	adminv1 "github.com/trilith-gateway/trilith/api/admin/v1"
)

// A protoFile is the protobuf of one source as the gateway lists it.
type protoFile struct {
	Source  string `json:"source"`
	Service string `json:"service"`
	Path    string `json:"path"`
}

func newProto(a *app) *cobra.Command {
	cmd := &cobra.Command{Use: "proto", Short: "See and download the typed gRPC services that you may use"}
	cmd.AddCommand(&cobra.Command{
		Use: "list", Short: "List the typed gRPC services that you may use", Args: cobra.NoArgs,
		RunE: func(cmd *cobra.Command, _ []string) error {
			raw, files, err := a.protoFiles(cmd.Context())
			if err != nil {
				return err
			}
			rows := make([][]string, len(files))
			for i, f := range files {
				rows[i] = []string{f.Source, f.Service, f.Path}
			}
			return a.answer(raw, []string{"SOURCE", "SERVICE", "FILE"}, rows)
		},
	}, newProtoExport(a), newProtoLock(a))
	return cmd
}

func newProtoExport(a *app) *cobra.Command {
	var sources []string
	var out string
	cmd := &cobra.Command{
		Use: "export", Short: "Write the protobuf of typed gRPC services", Args: cobra.NoArgs,
		Long: `Write the protobuf of typed gRPC services, with the methods that you may use, as source text: below a
directory, each file where others import it, or the file of one source on standard output.`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			if out == "" && len(sources) != 1 {
				return usageError{errors.New("give --out DIR, or --source NAME once to have one file on standard output")}
			}
			return a.exportProto(cmd.Context(), sources, out)
		},
	}
	cmd.Flags().StringSliceVar(&sources, "source", nil, "only this source, more than once for several (default: all)")
	cmd.Flags().StringVar(&out, "out", "", "directory to write below (default: standard output)")
	return cmd
}

func newProtoLock(a *app) *cobra.Command {
	var file string
	cmd := &cobra.Command{
		Use: "lock SOURCE", Short: "Keep, or put back, the names and numbers of a typed gRPC service", Args: cobra.ExactArgs(1),
		Long: `Print the lock of a source's typed gRPC service: every name and number that it has ever given. Where
the shared state is lost, clients that were generated before still work if the lock is put back
with --restore before the source is there again. A lock that lacks what the present one has given
is refused.`,
		RunE: func(cmd *cobra.Command, args []string) error {
			path := "proto-locks/" + url.PathEscape(args[0])
			if file != "" {
				lock, err := os.ReadFile(file) //nolint:gosec // The operator names it.
				if err != nil {
					return err
				}
				_, err = a.administer(cmd.Context(), http.MethodPut, path, nil, &adminv1.RestoreProtoLockRequest{LockJson: string(lock)}, nil)
				return err
			}
			raw, err := a.administer(cmd.Context(), http.MethodGet, path, nil, nil, nil)
			if err != nil {
				return err
			}
			var answer struct {
				Lock json.RawMessage `json:"lock"`
			}
			if err := json.Unmarshal(raw, &answer); err != nil {
				return notGateway{a.addr, "HTTP", errors.New("the answer is not one of administration")}
			}
			return a.indent(answer.Lock)
		},
	}
	cmd.Flags().StringVar(&file, "restore", "", "put the lock in this file back")
	return cmd
}

func (a *app) exportProto(ctx context.Context, sources []string, out string) error {
	_, files, err := a.protoFiles(ctx)
	if err != nil {
		return err
	}
	for _, name := range sources {
		if !slices.ContainsFunc(files, func(f protoFile) bool { return f.Source == name }) {
			return fmt.Errorf("there is no typed service of a source named %q", name)
		}
	}
	for _, f := range files {
		if len(sources) > 0 && !slices.Contains(sources, f.Source) {
			continue
		}
		text, err := a.fetch(ctx, "/v1/proto/"+url.PathEscape(f.Source)+".proto")
		if err != nil {
			return err
		}
		if out == "" {
			return a.printf("%s", safeText(string(text)))
		}
		if !filepath.IsLocal(f.Path) {
			return notGateway{a.addr, "HTTP", fmt.Errorf("a file named %q", f.Path)}
		}
		path := filepath.Join(out, filepath.FromSlash(f.Path))
		if err := os.MkdirAll(filepath.Dir(path), 0o777); err != nil { //nolint:gosec // Source text, for everybody whom the umask lets.
			return err
		}
		if err := os.WriteFile(path, text, 0o666); err != nil { //nolint:gosec // Likewise.
			return err
		}
		if err := a.printf("%s\n", printable(path)); err != nil {
			return err
		}
	}
	return nil
}

func (a *app) protoFiles(ctx context.Context) (json.RawMessage, []protoFile, error) {
	raw, err := a.fetch(ctx, "/v1/proto")
	if err != nil {
		return nil, nil, err
	}
	var list struct {
		Files []protoFile `json:"files"`
	}
	if err := json.Unmarshal(raw, &list); err != nil {
		return nil, nil, notGateway{a.addr, "HTTP", errors.New("the answer is no list of files")}
	}
	return raw, list.Files, nil
}

// fetch returns what the gateway has at a path.
func (a *app) fetch(ctx context.Context, path string) ([]byte, error) {
	token, err := a.token(a.addr)
	if err != nil {
		return nil, err
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, a.base()+path, http.NoBody)
	if err != nil {
		return nil, err
	}
	r.Header = bearer(token)
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		return nil, a.explain(ctx, err)
	}
	defer answer.Body.Close() //nolint:errcheck // It was read.
	raw, err := io.ReadAll(io.LimitReader(answer.Body, maxAnswer))
	if err != nil {
		return nil, a.explain(ctx, err)
	}
	if answer.StatusCode != http.StatusOK {
		return nil, a.refusedHTTP(answer.StatusCode, raw)
	}
	return raw, nil
}
