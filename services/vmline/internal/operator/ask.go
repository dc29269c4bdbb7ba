package operator

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"golang.org/x/term"

	"github.com/vmline/vmline/services/vmline/internal/exit"
	"github.com/vmline/vmline/services/vmline/internal/output"
)

// person is who may be asked.
type person struct {
	in  io.Reader
	out io.Writer
	// there says that somebody sits before a terminal.
	there bool
	// secret reads a line that is not shown.
	secret func() (string, error)
}

func personAt(in io.Reader, out io.Writer) person {
	return person{in: in, out: out, there: output.Terminal(in), secret: func() (string, error) {
		text, err := term.ReadPassword(int(in.(*os.File).Fd()))
		return string(text), err
	}}
}

// confirm asks before something is destroyed. Where nobody can be asked, --yes must be given.
func (p person) confirm(what string) error {
	if !p.there {
		return exit.BadUsagef("%s\nNobody can be asked here: give --yes if this is meant. Nothing was sent", what)
	}
	fmt.Fprintf(p.out, "%s\nGo on? [y/N] ", what)
	answer, err := firstLine(p.in)
	if err != nil {
		return err
	}
	switch strings.ToLower(strings.TrimSpace(answer)) {
	case "y", "yes":
		return nil
	}
	return errors.New("not confirmed; nothing was sent")
}

// password reads a new password: typed twice on a terminal, else the first line of the input. It is never
// an argument, because others on the machine can read those.
func (p person) password() (string, error) {
	if !p.there {
		text, err := firstLine(p.in)
		if err == nil && text == "" {
			err = exit.BadUsagef("the standard input holds no password")
		}
		return text, err
	}
	var typed [2]string
	for i, prompt := range []string{"New password: ", "Once more: "} {
		fmt.Fprint(p.out, prompt)
		text, err := p.secret()
		fmt.Fprintln(p.out)
		if err != nil {
			return "", fmt.Errorf("read the password: %w", err)
		}
		typed[i] = text
	}
	if typed[0] != typed[1] {
		return "", exit.BadUsagef("the two differ; nothing was sent")
	}
	if typed[0] == "" {
		return "", exit.BadUsagef("the password is empty; nothing was sent")
	}
	return typed[0], nil
}

// firstLine without its end. The end of the input ends a line as well.
func firstLine(in io.Reader) (string, error) {
	const longest = 4096
	line, err := bufio.NewReader(io.LimitReader(in, longest)).ReadString('\n')
	if err != nil && !errors.Is(err, io.EOF) {
		return "", err
	}
	return strings.TrimRight(line, "\r\n"), nil
}
