package pvesim

import (
	"errors"
	"fmt"
	"net/netip"
	"regexp"
	"strconv"
	"strings"
)

// format checks a value and returns its normal form. name is the parameter's.
type format func(name, v string) (string, error)

// shape is a format that is a regular expression with a text for what does not match; %s in the
// text is the value.
func shape(expr, text string) format {
	re := regexp.MustCompile(expr)
	return func(_, v string) (string, error) {
		if re.MatchString(v) {
			return v, nil
		}
		if strings.Contains(text, "%s") {
			return "", fmt.Errorf(text, v)
		}
		return "", errors.New(text)
	}
}

// each is a format for lists of values in format f.
func each(f format) format {
	return func(name, v string) (string, error) {
		for _, x := range listOf(v) {
			if _, err := f(name, x); err != nil {
				return "", err
			}
		}
		return v, nil
	}
}

const dnsLabel = `[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?`

var (
	isNode     = shape(`^[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?$`, "value does not look like a valid node name")
	isVMID     = shape(`^[1-9][0-9]{2,8}$`, "value does not look like a valid VM ID")
	isDNSName  = shape(`^(`+dnsLabel+`\.)*`+dnsLabel+`$`, "value does not look like a valid DNS name")
	isStorage  = shape(`^[A-Za-z][A-Za-z0-9_.-]*[A-Za-z0-9]$`, "storage ID '%s' contains illegal characters")
	isConfigID = shape(`^[A-Za-z][A-Za-z0-9_-]+$`, "invalid configuration ID '%s'")
	isPool     = shape(`^[A-Za-z0-9._-]+(/[A-Za-z0-9._-]+){0,2}$`, "value '%s' contains invalid characters")
	isTag      = shape(`^[A-Za-z0-9_][A-Za-z0-9_+.-]*$`, "invalid characters in tag")
	isUser     = shape(`^[^\s:/]+@[A-Za-z][A-Za-z0-9._-]+$`, "value '%s' does not look like a valid user name")
	isToken    = shape(`^[^\s:/]+@[A-Za-z][A-Za-z0-9._-]+![A-Za-z][A-Za-z0-9._-]+$`, "value '%s' does not look like a valid token ID")
)

// formats are the named formats of the parameter tables. They are filled in by init where a format
// is made of others.
var formats = map[string]format{
	"node":           isNode,
	"node-list":      each(isNode),
	"groupid":        shape(`^[A-Za-z0-9._-]+$`, "value '%s' contains invalid characters"),
	"ha-sid":         shape(`^((vm|ct|fa):)?[A-Za-z0-9._-]+$`, "unable to parse resource ID '%s'"),
	"ip":             isIP,
	"wake-on-lan":    shape(`^(mac=)?[0-9A-Fa-f]{2}(:[0-9A-Fa-f]{2}){5}(,.*)?$`, "value does not look like a valid MAC address"),
	"bootdev-list":   each(shape(`^(ide[0-3]|scsi([0-9]|[12][0-9]|30)|virtio([0-9]|1[0-5])|sata[0-5]|net([0-9]|[12][0-9]|3[01])|usb([0-9]|1[0-3])|hostpci([0-9]|1[0-5]))$`, "invalid boot device '%s'")),
	"ha-sid-list":    each(shape(`^((vm|ct):)?[A-Za-z0-9._-]+$`, "unable to parse resource ID '%s'")),
	"ha-nodes":       each(shape(`^[A-Za-z0-9]([A-Za-z0-9-]*[A-Za-z0-9])?(:\d+)?$`, "value does not look like a valid ha node specification")),
	"vmid":           isVMID,
	"vmid-list":      each(isVMID),
	"dns-name":       isDNSName,
	"storage-id":     isStorage,
	"storage-list":   each(isStorage),
	"storage-pairs":  each(shape(`^(1|[A-Za-z][A-Za-z0-9_.-]*(:[A-Za-z][A-Za-z0-9_.-]*)?)$`, "invalid storage pair '%s'")),
	"configid":       isConfigID,
	"configid-list":  each(isConfigID),
	"poolid":         isPool,
	"tag-list":       each(isTag),
	"userid":         isUser,
	"userid-list":    each(isUser),
	"tokenid-list":   each(isToken),
	"roleid":         shape(`^[A-Za-z0-9._-]+$`, "value '%s' contains invalid characters"),
	"roleid-list":    each(shape(`^[A-Za-z0-9._-]+$`, "value '%s' contains invalid characters")),
	"priv-list":      each(shape(`^[A-Za-z.]+$`, "invalid privilege '%s'")), // which there are hangs on the release
	"urlencoded":     shape(`^[-%a-zA-Z0-9_.!~*'()]*$`, "invalid urlencoded string: %s"),
	"address-list":   each(isAddress),
	"volume-or-path": shape(`^(none|cdrom|/.*|[A-Za-z][A-Za-z0-9_.-]*:.+)$`, "unable to parse volume ID '%s'"),
	"volume-id":      shape(`^[A-Za-z][A-Za-z0-9_.-]*:.+$`, "unable to parse volume ID '%s'"),
	"cidr-or-alias":  isCIDROrAlias,
	"fw-address":     isFirewallAddresses,
	"fw-port":        each(isFirewallPort),
	"fw-protocol":    isFirewallProtocol,
	"hotplug":        each(shape(`^(0|1|network|disk|cpu|memory|usb|cloudinit)$`, "invalid hotplug feature '%s'")),
	"cpu":            isCPU,
	"iface":          shape(`^[a-zA-Z][a-zA-Z0-9_.:-]{1,20}$`, "invalid network interface name '%s'"),
	"content-list":   each(shape(`^(backup|images|import|iso|rootdir|snippets|vztmpl|none)$`, "invalid content type '%s'")),
	"task-status":    each(shape(`^(ok|error|warning|unknown)$`, "value does not look like a valid task status type")),
}

// pattern is a parameter's regular expression. shown is set for those whose error text shows it.
type pattern struct {
	re    *regexp.Regexp
	shown string
}

var patterns = map[string]pattern{
	"disk-size":    {re: regexp.MustCompile(`^\+?\d+(\.\d+)?[KMGT]?$`)},
	"volume-size":  {re: regexp.MustCompile(`^\d+[MG]?$`)},
	"fw-name":      {re: regexp.MustCompile(`^[A-Za-z][A-Za-z0-9_-]+$`)},
	"serial":       {re: regexp.MustCompile(`^(/dev/.+|socket)$`)},
	"parallel":     {re: regexp.MustCompile(`^(/dev/parport\d+|/dev/usb/lp\d+)$`)},
	"uuid":         {re: regexp.MustCompile(`^([a-fA-F0-9]{8}(-[a-fA-F0-9]{4}){3}-[a-fA-F0-9]{12}|[01])$`)},
	"bootdisk":     {re: regexp.MustCompile(`^(ide|sata|scsi|virtio)\d+$`)},
	"boot-letters": {re: regexp.MustCompile(`^[acdn]{1,4}$`)},
	"clock-time":   {regexp.MustCompile(`^\d{1,2}:\d{1,2}$`), `\d{1,2}:\d{1,2}`},
	"block-device": {regexp.MustCompile(`^/dev/[a-zA-Z0-9/]+$`), `^/dev/[a-zA-Z0-9\/]+$`},
	"url":          {re: regexp.MustCompile(`^https?://.*`), shown: `https?://.*`},
	"upload-file":  {re: regexp.MustCompile(`^/var/tmp/pveupload-[0-9a-f]+$`), shown: `/var/tmp/pveupload-[0-9a-f]+`},
	"startdate":    {re: regexp.MustCompile(`^(now|\d{4}-\d{1,2}-\d{1,2}(T\d{1,2}:\d{1,2}:\d{1,2})?)$`)},
}

func isIP(_, v string) (string, error) {
	if _, err := netip.ParseAddr(v); err != nil {
		return "", errors.New("value does not look like a valid IP address")
	}
	return v, nil
}

func isAddress(_, v string) (string, error) {
	if _, err := netip.ParseAddr(v); err == nil {
		return v, nil
	}
	if _, err := isDNSName("", v); err != nil {
		return "", fmt.Errorf("value does not look like a valid address: %s", v)
	}
	return v, nil
}

// cidr is an address with its prefix length, or one of some words.
func cidr(six bool, what string, words ...string) format {
	return func(_, v string) (string, error) {
		if contains(words, v) {
			return v, nil
		}
		p, err := netip.ParsePrefix(v)
		if err != nil || p.Addr().Is6() != six {
			return "", errors.New("value does not look like a valid " + what + " network configuration")
		}
		return v, nil
	}
}

func address(six bool, what string) format {
	return func(_, v string) (string, error) {
		a, err := netip.ParseAddr(v)
		if err != nil || a.Is6() != six {
			return "", errors.New("value does not look like a valid " + what + " address")
		}
		return v, nil
	}
}

func isCPU(_, v string) (string, error) {
	first, _, _ := strings.Cut(v, ",")
	typ := strings.TrimPrefix(first, "cputype=")
	if !strings.Contains(first, "=") || typ != first {
		if cpuVendor(typ) == "" && !strings.HasPrefix(typ, "custom-") {
			return "", fmt.Errorf("Built-in cputype '%s' is not defined (missing 'custom-' prefix?)", typ) //nolint:staticcheck // ST1005: Proxmox VE's own words
		}
	}
	return v, nil
}

// parseSize reads a disk size with an optional unit K, M, G or T and returns bytes.
func parseSize(v string) int64 {
	unit := int64(1)
	switch {
	case strings.HasSuffix(v, "K"):
		unit = 1 << 10
	case strings.HasSuffix(v, "M"):
		unit = 1 << 20
	case strings.HasSuffix(v, "G"):
		unit = 1 << 30
	case strings.HasSuffix(v, "T"):
		unit = 1 << 40
	}
	f, _ := strconv.ParseFloat(strings.TrimRight(v, "KMGT"), 64)
	return int64(f * float64(unit))
}

// showSize writes bytes with the largest unit that divides them.
func showSize(n int64) string {
	units := []string{"", "K", "M", "G", "T"}
	i := 0
	for i < len(units)-1 && n%1024 == 0 {
		n /= 1024
		i++
	}
	return strconv.FormatInt(n, 10) + units[i]
}
