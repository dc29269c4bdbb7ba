package chain

import (
	"fmt"
	"strings"
)

// Mermaid draws every route as a Mermaid flowchart: statuses as boxes, steps as arrows that name
// their owner.
func Mermaid() string {
	var b strings.Builder
	b.WriteString("flowchart LR\n")
	for _, r := range routes {
		fmt.Fprintf(&b, "  subgraph %s\n    direction LR\n", r.Verb)
		for i := 1; i < len(r.Statuses); i++ {
			step := stepTo[r.Statuses[i]]
			fmt.Fprintf(&b, "    %s -->|%s| %s\n", Name(r.Statuses[i-1]), step.Owner, Name(step.To))
		}
		b.WriteString("  end\n")
	}
	return b.String()
}
