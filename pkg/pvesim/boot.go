package pvesim

import (
	"slices"
	"strings"
)

// bootDevices are the devices that a VM tries to boot from, in order; none with the old way to say it.
func bootDevices(conf map[string]string) []string {
	if list, ok := strings.CutPrefix(conf["boot"], "order="); ok {
		return listOf(list)
	}
	return nil
}

// showBoot is an order as it is stored; a blank stands for none, where nothing would mean the default.
func showBoot(devices []string) string {
	if len(devices) == 0 {
		return " "
	}
	return "order=" + strings.Join(devices, ";")
}

// checkBoot checks that the devices of a new boot order will be there.
func (u *update) checkBoot(v *vm) error {
	conf := v.merged()
	for _, device := range bootDevices(u.set) {
		_, has := conf[device]
		_, gets := u.set[device]
		if !has && !gets || contains(u.remove, device) {
			return fail("invalid bootorder: device '%s' does not exist'", device)
		}
	}
	return nil
}

// followBoot takes devices that go out of the boot order, and adds new CD drives to it.
func (u *update) followBoot(v *vm) {
	devices := bootDevices(v.conf)
	if len(devices) == 0 || u.set["boot"] != "" {
		return
	}
	conf := v.merged()
	kept := slices.DeleteFunc(slices.Clone(devices), func(device string) bool {
		_, has := conf[device]
		return has && contains(u.remove, device)
	})
	for _, k := range sortedKeys(u.drives) {
		if d := u.drives[k]; d.cdrom() && !d.cloudinit() && !contains(kept, k) {
			kept = append(kept, k)
		}
	}
	if !slices.Equal(kept, devices) {
		v.pending["boot"] = showBoot(kept)
	}
}
