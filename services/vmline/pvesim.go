package main

import (
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/vmline/vmline/pkg/pvesim"
	"github.com/vmline/vmline/services/vmline/internal/exit"
)

// simFlags are the flags of `vmline pvesim`.
type simFlags struct {
	listen, profile, release, caFile string
	tokens, passwords, faults        []string
	seed                             uint64
	plain                            bool
	ahead                            time.Duration
}

func newPVESim() *cobra.Command {
	var f simFlags
	c := &cobra.Command{
		Use:   "pvesim",
		Short: "Run a simulated Proxmox VE cluster",
		Long: `Run a simulated Proxmox VE cluster, for any client of its API. It keeps everything in memory and runs
no machine. There are nodes pve1, pve2, pve3 with bridge vmbr0; storages local (dir, on each node),
shared1 (dir, shared) and local-lvm (lvmthin, on each node); and template 9000 on pve1. Everything else
can be made through the API. It serves TLS with a certificate of its own, made anew at each start.

Profiles:
` + profileList() + `
Faults are ordered with --fault, which may be given several times:

  ` + strings.ReplaceAll(pvesim.FaultSyntax, "\n", "\n  "),
		Example: `  vmline pvesim --token 'root@pam!sim=SECRET' --profile real
  vmline pvesim --fault 'POST /nodes/*/qemu/*/clone: 596 committed, times 2'`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			cluster, cfg, err := f.cluster()
			if err != nil {
				return exit.BadUsage(err)
			}
			defer cluster.Close()
			listen := cluster.ListenTLS
			if f.plain {
				listen = cluster.Listen
			}
			server, err := listen(f.listen)
			if err != nil {
				return err
			}
			defer server.Close()
			if err := f.saveCertificate(server); err != nil {
				return err
			}
			f.explain(c.OutOrStdout(), cfg, server)
			<-c.Context().Done()
			return nil
		},
	}
	flags := c.Flags()
	flags.StringVar(&f.listen, "listen", "127.0.0.1:8006", "host:port")
	flags.StringArrayVar(&f.tokens, "token", nil, "API token 'user@realm!id=SECRET' that may do everything (repeatable)")
	flags.StringArrayVar(&f.passwords, "password", nil, "user 'user@realm=PASSWORD' that can log in for a ticket and may do everything (repeatable)")
	flags.StringVar(&f.profile, "profile", "quick", "sizes and times, see above")
	flags.StringArrayVar(&f.faults, "fault", nil, "what goes wrong, see above (repeatable)")
	flags.StringVar(&f.release, "pve", "9", "release of Proxmox VE: "+strings.Join(pvesim.Releases(), ", "))
	flags.Uint64Var(&f.seed, "seed", 0, "makes MAC addresses, UUIDs and tokens repeatable")
	flags.StringVar(&f.caFile, "ca-file", "", "write the certificate to this file, for clients to trust")
	flags.DurationVar(&f.ahead, "clock-ahead", 0, "how far the nodes' clocks are before this machine's, such as 90s or -1h")
	flags.BoolVar(&f.plain, "plain", false, "serve without TLS; leave it on this machine then")
	return c
}

func profileList() string {
	var b strings.Builder
	for _, p := range pvesim.Profiles() {
		fmt.Fprintf(&b, "  %-8s %s\n", p.Name, p.About)
	}
	return b.String()
}

// cluster makes the cluster that the flags ask for.
func (f simFlags) cluster() (*pvesim.Cluster, pvesim.Config, error) {
	cfg := pvesim.Default()
	profile, err := pvesim.ProfileNamed(f.profile)
	if err != nil {
		return nil, cfg, fmt.Errorf("--profile: %w", err)
	}
	profile.Apply(&cfg)
	if !slices.Contains(pvesim.Releases(), f.release) {
		return nil, cfg, fmt.Errorf("--pve: no release %q; there are %s", f.release, strings.Join(pvesim.Releases(), ", "))
	}
	cfg.PVE, cfg.Seed = f.release, f.seed
	if f.ahead != 0 {
		cfg.Now = func() time.Time { return time.Now().Add(f.ahead) }
	}
	cfg.KeepCalls, cfg.KeepTasks = 1, 10_000 // it may run for days, and nobody asks for its calls
	if len(f.tokens) > 0 {
		if cfg.Tokens, err = pairs("--token", "user@realm!id=SECRET", "!", f.tokens); err != nil {
			return nil, cfg, err
		}
	}
	if cfg.Passwords, err = pairs("--password", "user@realm=PASSWORD", "", f.passwords); err != nil {
		return nil, cfg, err
	}
	var faults []pvesim.Fault
	for _, text := range f.faults {
		fault, err := pvesim.ParseFault(text)
		if err != nil {
			return nil, cfg, fmt.Errorf("--fault: %w", err)
		}
		faults = append(faults, fault)
	}
	cluster := pvesim.New(cfg)
	for _, fault := range faults {
		cluster.AddFault(fault)
	}
	return cluster, cfg, nil
}

// pairs reads values of the form "user@realm...=SECRET"; mark must be in the name. An error does not
// repeat the secret.
func pairs(flag, form, mark string, values []string) (map[string]string, error) {
	m := map[string]string{}
	for i, v := range values {
		name, secret, ok := strings.Cut(v, "=")
		if !ok || secret == "" || !strings.Contains(name, "@") || !strings.Contains(name, mark) || mark == "" && strings.Contains(name, "!") {
			return nil, fmt.Errorf("%s %d: want '%s'", flag, i+1, form)
		}
		m[name] = secret
	}
	return m, nil
}

func (f simFlags) saveCertificate(server *pvesim.Server) error {
	if f.caFile == "" || f.plain {
		return nil
	}
	if err := os.WriteFile(f.caFile, server.CertPEM, 0o644); err != nil { //nolint:gosec // G306: a certificate is public
		return fmt.Errorf("--ca-file: %w", err)
	}
	return nil
}

// explain says how to reach the cluster.
func (f simFlags) explain(out io.Writer, cfg pvesim.Config, server *pvesim.Server) {
	fmt.Fprintf(out, "url: %s\n", server.URL)
	ids := make([]string, 0, len(cfg.Tokens))
	for id := range cfg.Tokens {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	for _, id := range ids {
		fmt.Fprintf(out, "token_id: %s\ntoken_secret: %s\n", id, cfg.Tokens[id])
	}
	trust := ""
	if !f.plain {
		fmt.Fprintf(out, "fingerprint: %s\n", server.Fingerprint)
		trust = "--insecure "
	}
	if f.caFile != "" && !f.plain {
		fmt.Fprintf(out, "ca_file: %s\n", f.caFile)
		trust = "--cacert " + f.caFile + " "
	}
	fmt.Fprintf(out, "\nTry it:\n  curl %s-H 'Authorization: PVEAPIToken=%s=%s' %s/version\n", trust, ids[0], cfg.Tokens[ids[0]], server.URL)
	fmt.Fprintf(out, "In a configuration of vmline:\n  clusters:\n    - name: sim\n      url: %s\n      token_id: %s\n      token_secret_env: SIM_TOKEN_SECRET\n",
		strings.TrimSuffix(server.URL, "/api2/json"), ids[0])
	if !f.plain {
		fmt.Fprintf(out, "      fingerprint: %s\n", server.Fingerprint)
	}
}
