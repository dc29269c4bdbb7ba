package telemetry

import (
	"log/slog"
	"regexp"
)

// secretNames are words in the names of attributes that hold secrets.
var secretNames = regexp.MustCompile(`(?i)secret|password|passwd|token|authorization|cookie|private`)

// inURL is the password in a URL, inQuery the one in its query.
var (
	inURL   = regexp.MustCompile(`(://[^/@\s:]*:)[^/@\s]+@`)
	inQuery = regexp.MustCompile(`([?&]password=)[^&\s"]+`)
)

const hidden = "(secret)"

func hideSecrets(_ []string, a slog.Attr) slog.Attr {
	if secretNames.MatchString(a.Key) {
		return slog.String(a.Key, hidden)
	}
	switch v := a.Value.Any().(type) {
	case string:
		return slog.String(a.Key, HideInURLs(v))
	case error:
		return slog.String(a.Key, HideInURLs(v.Error()))
	default:
		return a
	}
}

// HideInURLs blanks the passwords of all URLs in a text.
func HideInURLs(text string) string {
	return inQuery.ReplaceAllString(inURL.ReplaceAllString(text, "${1}"+hidden+"@"), "${1}"+hidden)
}
