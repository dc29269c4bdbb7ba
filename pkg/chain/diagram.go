package chain

import (
	"fmt"
	"strings"

	vmlinev1 "github.com/vmline/vmline/proto/vmline/v1"
)

// drawn are the routes that the diagram shows. The others are made of their parts; lifecycle's README
// lists them all.
var drawn = []vmlinev1.Operation_Kind{
	vmlinev1.Operation_KIND_CREATE, vmlinev1.Operation_KIND_SUSPEND, vmlinev1.Operation_KIND_UNSUSPEND, vmlinev1.Operation_KIND_TERMINATE,
}

// Mermaid draws the main routes as a Mermaid flowchart: statuses as boxes, steps as arrows that name
// their owner.
func Mermaid() string {
	var b strings.Builder
	b.WriteString("flowchart LR\n")
	for _, kind := range drawn {
		r := routeOf[kind]
		fmt.Fprintf(&b, "  subgraph %s\n    direction LR\n", r.Verb())
		box := func(i int) string {
			s := r.Statuses[i]
			if s == Same {
				s = r.From[0]
			}
			return fmt.Sprintf("%s_%s[%s]", KindName(r.Kind), Name(s), Name(s))
		}
		for i := 1; i < len(r.Statuses); i++ {
			fmt.Fprintf(&b, "    %s -->|%s| %s\n", box(i-1), stepTo[r.Statuses[i]].Owner, box(i))
		}
		b.WriteString("  end\n")
	}
	return b.String()
}
