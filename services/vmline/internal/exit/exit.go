// Package exit is how a command ends: the codes by which scripts decide, and the errors that lead to them.
package exit

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"

	"github.com/spf13/cobra"

	"github.com/vmline/vmline/pkg/api"
	"github.com/vmline/vmline/pkg/config"
)

// The codes.
const (
	Done = 0
	// Failed: refused, parked, interrupted, or not possible at all.
	Failed   = 1
	Usage    = 2
	NotFound = 3
	TimedOut = 4
)

// usageError is a command line that cannot be understood.
type usageError struct{ error }

func (e *usageError) Unwrap() error { return e.error }

// BadUsage makes an error one of the command line.
func BadUsage(err error) error { return &usageError{err} }

// BadUsagef is BadUsage with a text of its own.
func BadUsagef(format string, args ...any) error { return &usageError{fmt.Errorf(format, args...)} }

// lateError is a wait that has lasted too long.
type lateError struct{ text string }

func (e *lateError) Error() string { return e.text }

// Late is the error of a wait that has lasted too long. What was waited for goes on.
func Late(format string, args ...any) error { return &lateError{fmt.Sprintf(format, args...)} }

// ErrSaid is a failure whose reason was printed already.
var ErrSaid = errors.New("the reason was printed")

// Code is the exit code of a command that ended with an error, or with nil.
func Code(err error) int {
	var (
		usage   *usageError
		late    *lateError
		problem *api.Problem
		noFile  *config.NoFile
	)
	switch {
	case err == nil:
		return Done
	case errors.As(err, &usage), errors.As(err, &noFile):
		return Usage
	case errors.As(err, &problem) && problem.Type == api.TypeValidation:
		return Usage // what the gateway says of a value, the command line could have said
	case errors.As(err, &problem) && problem.Status == http.StatusNotFound:
		return NotFound
	case errors.As(err, &late), errors.Is(err, context.DeadlineExceeded):
		return TimedOut
	default:
		return Failed
	}
}

// errEmpty is a variable of a script that was not set, most of the time: what it stands for is not "all".
var errEmpty = errors.New("an argument is empty")

// badUsageOf is an error of a command's line, with where the right one is explained.
func badUsageOf(c *cobra.Command, err error) error {
	return BadUsagef("%w; see: %s --help", err, c.CommandPath())
}

// CheckArgs makes wrong arguments and flags of a command, and of those below it, usage errors.
func CheckArgs(c *cobra.Command) {
	c.SetFlagErrorFunc(badUsageOf)
	if check := c.Args; check != nil {
		c.Args = func(c *cobra.Command, args []string) error {
			err := check(c, args)
			if err == nil && slices.Contains(args, "") {
				err = errEmpty
			}
			if err == nil {
				err = c.ValidateRequiredFlags() // cobra would do it next, and not say that it is usage
			}
			if err != nil {
				return badUsageOf(c, err)
			}
			return nil
		}
	}
	for _, below := range c.Commands() {
		CheckArgs(below)
	}
}
