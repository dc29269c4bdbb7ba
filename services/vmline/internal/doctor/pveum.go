package doctor

import (
	"slices"
	"strings"
)

// roleName is the role of README.md.
const roleName = "VMLine"

// minimalRole are the privileges of the role on a version.
func minimalRole(version string) []string {
	var out []string
	for _, n := range needsOf(version) {
		out = append(out, n.privilege)
	}
	return out
}

// pveum returns the commands that grant what is missing: the role first, then where it holds. All may be repeated.
func pveum(f *facts, missing []lack) []string {
	commands := roleCommand(f, missing)
	var paths []string
	for _, m := range missing {
		if m.all {
			paths = append(paths, m.on.grant)
			continue
		}
		paths = append(paths, m.paths...) // something of their own holds there already and covers what is granted above
	}
	seen := map[string]bool{}
	for _, path := range paths {
		if !seen[path] {
			seen[path] = true
			commands = append(commands, aclCommands(path, roleName, f.who())...)
		}
	}
	return commands
}

// roleCommand makes the role, or adds to it; nothing if it is whole.
func roleCommand(f *facts, missing []lack) []string {
	has, exists := f.roles[roleName]
	if !exists {
		return []string{`pveum role add ` + roleName + ` --privs "` + strings.Join(minimalRole(f.version()), " ") + `"`}
	}
	var add []string
	for _, m := range missing {
		if !slices.Contains(has, m.privilege) {
			add = append(add, m.privilege)
		}
	}
	if len(add) == 0 {
		return nil
	}
	return []string{`pveum role modify ` + roleName + ` --append 1 --privs "` + strings.Join(add, " ") + `"`}
}

// aclCommands give a role to the user, and to its token: a privilege-separated token has what both have.
func aclCommands(path, role, who string) []string {
	user, _, token := strings.Cut(who, "!")
	commands := []string{"pveum acl modify " + path + " --roles " + role + " --users " + user}
	if token {
		commands = append(commands, "pveum acl modify "+path+" --roles "+role+" --tokens '"+who+"'")
	}
	return commands
}
