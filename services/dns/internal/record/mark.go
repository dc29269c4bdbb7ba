package record

import (
	"regexp"
	"strings"
)

// markLabel stands in front of an owned name to make the name of its mark.
const markLabel = "_vmline."

// Mark says which VM owns a name. It stands in a TXT record at _vmline.<name>.
type Mark struct {
	Ref string
	UID string
}

// word is the form of a ref and of a uid; it needs no quoting in a TXT record.
const word = `[A-Za-z0-9_-]{1,64}`

var (
	wordPattern = regexp.MustCompile(`^` + word + `$`)
	markPattern = regexp.MustCompile(`^vmline ref=(` + word + `) uid=(` + word + `)$`)
)

// Text is the content of the TXT record, without quotes.
func (m Mark) Text() string { return "vmline ref=" + m.Ref + " uid=" + m.UID }

// ParseMark reads what Text wrote.
func ParseMark(text string) (Mark, bool) {
	parts := markPattern.FindStringSubmatch(text)
	if parts == nil {
		return Mark{}, false
	}
	return Mark{Ref: parts[1], UID: parts[2]}, true
}

// MarkName is where the mark of an owned name stands.
func MarkName(name string) string { return markLabel + name }

// OwnedName is the name that a mark's name belongs to; other names are their own.
func OwnedName(name string) string { return strings.TrimPrefix(name, markLabel) }
