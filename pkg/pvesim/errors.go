package pvesim

import (
	"fmt"
	"strings"
)

// apiError is an answer other than success.
type apiError struct {
	code   int
	reason string            // the HTTP reason phrase and, with a newline, the body's message
	errors map[string]string // parameter to text, for code 400
	empty  bool              // the answer has no body (401, 595, 596)
	exact  bool              // the body's message has no newline at its end (501)
	plain  bool              // the body is the reason as text: the request was not even read
}

func (e *apiError) Error() string { return e.reason }

// fail is the usual error of Proxmox VE: code 500 with a text.
func fail(format string, args ...any) error {
	return &apiError{code: 500, reason: fmt.Sprintf(format, args...)}
}

// badParams is an answer 400 with a text for each parameter.
func badParams(errs map[string]string) error {
	return &apiError{code: 400, reason: "Parameter verification failed.", errors: errs}
}

// badParam is an answer 400 for one parameter.
func badParam(name, format string, args ...any) error {
	return badParams(map[string]string{name: fmt.Sprintf(format, args...)})
}

// denied is an answer 403. what may be empty.
func denied(what string) error {
	if what != "" {
		what = " (" + what + ")"
	}
	return &apiError{code: 403, reason: "Permission check failed" + what}
}

// noConfig is the error for a VM that is not on a node.
func noConfig(node string, vmid int) error {
	return fail("Configuration file 'nodes/%s/qemu-server/%d.conf' does not exist", node, vmid)
}

// oneLine is an error's text as a task's exit status or a reason phrase.
func oneLine(s string) string {
	return strings.NewReplacer("\n", " ", "\r", " ").Replace(strings.TrimRight(s, "\n"))
}

// notImplemented is the error for a method that a path does not have.
func notImplemented(method, path string) error {
	return &apiError{code: 501, reason: "Method '" + method + " " + path + "' not implemented", exact: true}
}
