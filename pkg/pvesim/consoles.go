package pvesim

import (
	"fmt"
	"strings"
	"time"
)

// consoleRoutes are keys and consoles of VMs.
var consoleRoutes = []routeRow{
	{"PUT", vmPath + "/sendkey", console, "key!:string skiplock:bool", (*call).sendKey},
	{"POST", vmPath + "/vncproxy", console, "generate-password:bool websocket:bool", (*call).vncProxy},
	{"POST", vmPath + "/termproxy", console, "serial:enum(serial0,serial1,serial2,serial3)", (*call).termProxy},
}

const console = "/vms/{vmid} VM.Console"

// sendKey presses a key, to which the simulated guests pay no heed.
func (q *call) sendKey() (any, error) {
	v, err := q.vmOf()
	if err != nil {
		return nil, err
	}
	if !v.running {
		return nil, fail("VM %d not running", v.id)
	}
	return nil, nil
}

// consoleWait is how long a node waits for somebody to connect to a console.
const consoleWait = 10 * time.Second

// openConsole starts the task that waits for a connection. Nobody can make one, so it fails as it does
// when nobody comes.
func (q *call) openConsole(typ string) object {
	port := 5900
	for _, t := range q.c.taskOrder {
		port += flag(t.running && (t.typ == "vncproxy" || t.typ == "termproxy"))
	}
	upid := q.fork(typ, q.vars["vmid"], func(t *task) *job {
		return &job{steps: once(consoleWait, func() error { return fail("connection timed out") })}
	})
	ticket := fmt.Sprintf("PVEVNC:%08X::%s", q.c.cfg.Now().Unix(), q.c.signature(256))
	return object{"user": q.who.user, "ticket": ticket, "port": itoa(port), "upid": upid}
}

func (q *call) vncProxy() (any, error) {
	if _, err := q.vmOf(); err != nil {
		return nil, err
	}
	o := q.openConsole("vncproxy")
	o["cert"] = "-----BEGIN CERTIFICATE-----\n" + q.c.signature(600) + "\n-----END CERTIFICATE-----\n"
	if q.p.bool("generate-password") {
		o["password"] = q.c.signature(6)
	}
	return o, nil
}

func (q *call) termProxy() (any, error) {
	v, err := q.vmOf()
	if err != nil {
		return nil, err
	}
	serial := q.p["serial"]
	if serial == "" {
		if typ, _, _ := strings.Cut(v.conf["vga"], ","); strings.HasPrefix(strings.TrimPrefix(typ, "type="), "serial") {
			serial = strings.TrimPrefix(typ, "type=")
		}
	}
	if serial == "" || v.conf[serial] == "" {
		return nil, fail("unable to find a serial interface")
	}
	return q.openConsole("termproxy"), nil
}
