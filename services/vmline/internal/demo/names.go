package demo

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/miekg/dns"
)

// question is one DNS question and the answer that must come, none for a name that must be gone.
type question struct {
	name  string
	qtype uint16
	want  string
}

// questionsOf are all questions about a machine, while it lives.
func questionsOf(o *order) ([]question, error) {
	name := o.pkg.Name + "." + domain + "."
	var list []question
	for _, a := range o.service.Addresses {
		qtype := dns.TypeA
		if strings.Contains(a.Address, ":") {
			qtype = dns.TypeAAAA
		}
		reverse, err := dns.ReverseAddr(a.Address)
		if err != nil {
			return nil, fmt.Errorf("%s has the address %q: %w", o.ref, a.Address, err)
		}
		list = append(list, question{name, qtype, a.Address}, question{reverse, dns.TypePTR, name})
	}
	if len(list) == 0 {
		return nil, fmt.Errorf("%s has no address", o.ref)
	}
	return list, nil
}

// checkNames asks the name server for every name and address.
func checkNames(ctx context.Context, w *world, say *printer, orders []*order) error {
	say.title("Names, as the DNS server answers")
	for _, o := range orders {
		questions, err := questionsOf(o)
		if err != nil {
			return err
		}
		for _, q := range questions {
			if err := await(ctx, w, q); err != nil {
				return err
			}
			say.name(o.ref, q)
		}
	}
	return nil
}

// askEvery is how often the name server is asked while an answer is not yet the right one. Records
// follow a machine in their own time.
const askEvery = 50 * time.Millisecond

// await asks until the right answer comes or ctx ends.
func await(ctx context.Context, w *world, q question) error {
	again := time.NewTicker(askEvery)
	defer again.Stop()
	for {
		answers, err := lookup(ctx, w.names.Addrs()[0], q)
		switch {
		case err == nil && q.want == "" && len(answers) == 0:
			return nil
		case err == nil && q.want != "" && slices.Equal(answers, []string{q.want}):
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("DNS: %s %s: answer %q, want %q%s", q.name, dns.TypeToString[q.qtype], answers, q.want, because(err))
		case <-again.C:
		}
	}
}

func because(err error) string {
	if err == nil {
		return ""
	}
	return ": " + err.Error()
}

// lookup returns the values of a name and type, none where the name or type does not exist.
func lookup(ctx context.Context, server string, q question) ([]string, error) {
	m := new(dns.Msg).SetQuestion(q.name, q.qtype)
	answer, _, err := (&dns.Client{Net: "tcp"}).ExchangeContext(ctx, m, server)
	if err != nil {
		return nil, err
	}
	if answer.Rcode != dns.RcodeSuccess && answer.Rcode != dns.RcodeNameError {
		return nil, fmt.Errorf("the server says %s", dns.RcodeToString[answer.Rcode])
	}
	var values []string
	for _, rr := range answer.Answer {
		switch rr := rr.(type) {
		case *dns.A:
			values = append(values, rr.A.String())
		case *dns.AAAA:
			values = append(values, rr.AAAA.String())
		case *dns.PTR:
			values = append(values, rr.Ptr)
		}
	}
	return values, nil
}
