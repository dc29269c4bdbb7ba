package bus

import (
	"fmt"
	"log/slog"
	"regexp"
	"time"

	"github.com/nats-io/nats.go"
)

// Server says how to reach a NATS server.
type Server struct {
	// URL of one or more servers, separated by commas.
	URL string
	// CredentialsFile and NKeyFile authenticate; at most one is set.
	CredentialsFile string
	NKeyFile        string
	// CAFile verifies the server's certificate; empty means the system's authorities.
	CAFile string
	// Name of the client as the server's operator sees it.
	Name string
}

// Dial connects to a NATS server and keeps the connection up for ever. It succeeds even while the
// server is down, because a service may start before its server.
func Dial(s Server, log *slog.Logger) (*nats.Conn, error) {
	opts := append(clientOptions(s.Name, log), nats.RetryOnFailedConnect(true))
	if s.CredentialsFile != "" {
		opts = append(opts, nats.UserCredentials(s.CredentialsFile))
	}
	if s.NKeyFile != "" {
		nkey, err := nats.NkeyOptionFromSeed(s.NKeyFile)
		if err != nil {
			return nil, fmt.Errorf("read the NKey seed %s: %w", s.NKeyFile, err)
		}
		opts = append(opts, nkey)
	}
	if s.CAFile != "" {
		opts = append(opts, nats.RootCAs(s.CAFile))
	}
	nc, err := nats.Connect(s.URL, opts...)
	if err != nil {
		// The error of the client library repeats the URL, which may hold a password.
		return nil, fmt.Errorf("connect to NATS at %s: %s", redactURLs(s.URL), redactURLs(err.Error()))
	}
	return nc, nil
}

var userInfo = regexp.MustCompile(`//[^/@\s]+@`)

// redactURLs hides the user and password of every URL in a text.
func redactURLs(text string) string { return userInfo.ReplaceAllString(text, "//***@") }

// DialInProcess connects to a server in the same process.
func DialInProcess(server nats.InProcessConnProvider, name string, log *slog.Logger) (*nats.Conn, error) {
	nc, err := nats.Connect("", append(clientOptions(name, log), nats.InProcessServer(server))...)
	if err != nil {
		return nil, fmt.Errorf("connect to the embedded NATS server: %w", err)
	}
	return nc, nil
}

func clientOptions(name string, log *slog.Logger) []nats.Option {
	return []nats.Option{
		nats.Name(name),
		// Every user has an inbox prefix of its own, so that none can read another's answers.
		nats.CustomInboxPrefix("_INBOX_" + name),
		nats.MaxReconnects(-1),
		// A server that vanished without a word is noticed within a minute.
		nats.PingInterval(20 * time.Second),
		nats.ReconnectWait(200 * time.Millisecond),
		nats.ReconnectJitter(100*time.Millisecond, 500*time.Millisecond),
		// Nothing is buffered while the connection is down: what could not be sent is settled by
		// its sender.
		nats.ReconnectBufSize(-1),
		nats.ErrorHandler(func(_ *nats.Conn, sub *nats.Subscription, err error) {
			subject := ""
			if sub != nil {
				subject = sub.Subject
			}
			log.Warn("NATS", "client", name, "subject", subject, "error", err)
		}),
		nats.DisconnectErrHandler(func(_ *nats.Conn, err error) {
			if err != nil {
				log.Warn("NATS connection lost; reconnecting", "client", name, "error", err)
			}
		}),
		nats.ReconnectHandler(func(*nats.Conn) { log.Info("NATS connection is back", "client", name) }),
	}
}
