package app

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"syscall"
	"time"

	"github.com/vmline/vmline/pkg/config"
	"github.com/vmline/vmline/pkg/telemetry"
)

// Exit codes of the programs.
const (
	exitDone   = 0
	exitFailed = 1
	exitUsage  = 2
)

// Main is the program of one service. It returns the exit code.
func Main(s Service) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	return mainOf(ctx, s, os.Args[1:], os.Stderr)
}

func mainOf(ctx context.Context, s Service, args []string, out io.Writer) int {
	flags := flag.NewFlagSet("vmline-"+s.Name, flag.ContinueOnError)
	flags.SetOutput(out)
	path := flags.String("config", os.Getenv(config.EnvFile), "configuration file (default $"+config.EnvFile+")")
	health := flags.Bool("health", false, "ask the running service whether it works, and exit 0 if it does")
	switch err := flags.Parse(args); {
	case errors.Is(err, flag.ErrHelp):
		return exitDone
	case err != nil:
		return exitUsage
	case *path == "" || flags.NArg() > 0:
		flags.Usage()
		return exitUsage
	}
	run := serve
	if *health {
		run = checkHealth
	}
	if err := run(ctx, s, *path, out); err != nil {
		fmt.Fprintln(out, err)
		if _, ok := errors.AsType[*config.NoFile](err); ok {
			return exitUsage
		}
		return exitFailed
	}
	return exitDone
}

// serve runs one service until ctx ends.
func serve(ctx context.Context, s Service, path string, out io.Writer) (err error) {
	cfg, err := config.Load(path, os.LookupEnv, s.Parts...)
	if err != nil {
		return err
	}
	if cfg.NATS.Embedded() {
		return fmt.Errorf("nats.url is empty: a service on its own needs a NATS server; set it in %s or in %s, or run `vmline up`", path, config.EnvNATSURL)
	}
	log := telemetry.NewLogger(out, cfg.Log.Level, cfg.Log.Format).With("service", s.Name)
	return Serve(ctx, cfg, s.Name, log, nil, s)
}

// flushTimeout is how long the end of the program waits for the last traces.
const flushTimeout = 5 * time.Second

// Serve opens what the services need, calls opened with it if that is not nil, and runs them until
// ctx ends.
func Serve(ctx context.Context, cfg *config.Config, name string, log *slog.Logger, opened func(*App) error, services ...Service) (err error) {
	flush, err := telemetry.Tracing(ctx, cfg.Telemetry.OTLPEndpoint, name, log)
	if err != nil {
		return err
	}
	defer func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), flushTimeout)
		defer cancel()
		err = errors.Join(err, flush(ctx))
	}()
	a, err := Open(cfg, name, log, services...)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, a.Close()) }()
	if opened != nil {
		if err := opened(a); err != nil {
			return err
		}
	}
	stopHealth, err := a.serveHealth(name)
	if err != nil {
		return err
	}
	defer stopHealth()
	return a.Run(ctx, services...)
}
