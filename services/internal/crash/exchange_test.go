package crash

import (
	"context"
	"net"
	"slices"

	"github.com/miekg/dns"

	vmlinedns "github.com/vmline/vmline/services/dns"
)

// dial has a dns service's exchanges go through its life.
func (l *life) dial(next vmlinedns.Dial) vmlinedns.Dial {
	return func(ctx context.Context, network, addr string) (net.Conn, error) {
		conn, err := next(ctx, network, addr)
		if err != nil {
			return nil, err
		}
		return &dnsEdge{Conn: conn, life: l}, nil
	}
}

// dnsEdge stands around the exchanges on one connection: a message goes out when its answer is waited for.
type dnsEdge struct {
	net.Conn
	life    *life
	message []byte
}

func (e *dnsEdge) Write(p []byte) (int, error) {
	e.message = slices.Clone(p)
	return len(p), nil
}

func (e *dnsEdge) Read(p []byte) (n int, err error) {
	message := e.message
	if message == nil {
		return e.Conn.Read(p)
	}
	e.message = nil
	err = e.life.around(exchange(message), func() error {
		if _, err := e.Conn.Write(message); err != nil {
			return err
		}
		n, err = e.Conn.Read(p)
		return err
	})
	return n, err
}

// exchange names a message, which has its length before it: a query by its type, an update by its zone.
func exchange(message []byte) string {
	const length = 2
	m := new(dns.Msg)
	if err := m.Unpack(message[length:]); err != nil {
		return "dns " + err.Error()
	}
	if m.Opcode == dns.OpcodeUpdate {
		return "dns update " + m.Question[0].Name
	}
	return "dns query " + dns.TypeToString[m.Question[0].Qtype]
}
