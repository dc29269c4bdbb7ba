// Package doctor looks at a Proxmox VE cluster and says what it lacks for vmline, and how to mend it. It changes
// nothing.
//
// A reader (read.go) asks the cluster everything once; the checks are pure functions of what it read.
package doctor

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/vmline/vmline/pkg/config"
	"github.com/vmline/vmline/pkg/pve"
)

// Result of one check.
type Result string

// The results. A warning is what works and may surprise.
const (
	OK      Result = "ok"
	Warning Result = "warning"
	Problem Result = "problem"
)

// Line is what one check found.
type Line struct {
	Check  string `json:"check"` // what was looked at: api, version, ...
	Result Result `json:"result"`
	Found  string `json:"found"`
	// Details say more about Found.
	Details []string `json:"details,omitempty"`
	// Do is what mends it: sentences for a person, and commands, which begin with "pveum ".
	Do []string `json:"do,omitempty"`
}

// Report is what was found on one cluster.
type Report struct {
	Cluster string `json:"cluster"`
	Lines   []Line `json:"checks"`
}

// Sick reports whether a problem was found.
func (r Report) Sick() bool {
	return slices.ContainsFunc(r.Lines, func(l Line) bool { return l.Result == Problem })
}

// Write prints the report for people.
func (r Report) Write(w io.Writer) {
	fmt.Fprintf(w, "cluster %s\n", r.Cluster)
	for _, l := range r.Lines {
		fmt.Fprintf(w, "  %-8s %-12s %s\n", l.Result, l.Check, l.Found)
		for _, d := range l.Details {
			fmt.Fprintf(w, "%24s- %s\n", "", d)
		}
		for _, d := range l.Do {
			fmt.Fprintf(w, "%24s> %s\n", "", d)
		}
	}
}

// Cluster is what is looked at, and as whom.
type Cluster struct {
	Client *pve.Client
	Config config.Cluster
	// Pools of the whole configuration.
	Pools []config.Pool
	Now   func() time.Time
}

// checks in the order in which they are shown. Those after the first need a cluster that answers.
var checks = []func(*facts) []Line{
	checkVersion, checkCertificates, checkClocks, checkRights, checkNodes, checkStorages, checkBridges, checkTemplates, checkFirewall,
}

// Examine looks at a cluster.
func Examine(ctx context.Context, c Cluster) Report {
	f := &facts{now: c.Now(), cluster: c.Config, endpoints: c.Client.Endpoints(ctx)}
	report := Report{Cluster: c.Config.Name, Lines: checkAPI(f)}
	if f.version() == "" {
		return report
	}
	(&reader{c, f}).read(ctx)
	for _, check := range checks {
		report.Lines = append(report.Lines, check(f)...)
	}
	return report
}

func ok(check, found string) Line { return Line{Check: check, Result: OK, Found: found} }

func warn(check, found string, do ...string) Line {
	return Line{Check: check, Result: Warning, Found: found, Do: do}
}

func problem(check, found string, do ...string) Line {
	return Line{Check: check, Result: Problem, Found: found, Do: do}
}

// unseen is the line of something that could not be read. What a missing right hides, checkRights says.
func unseen(check string, err error) Line {
	return warn(check, "could not be looked at: "+err.Error(), pve.KindOf(err).Advice())
}

func list(names []string) string { return strings.Join(names, ", ") }
