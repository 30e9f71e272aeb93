package guest

import (
	"net/netip"
	"slices"
	"strings"
)

// Scan is what runs and listens in a container.
type Scan struct {
	Init     string // "systemd", "openrc"; empty: another one, or none
	Services []Service
	More     int      // services that are left out, of more than 500
	Missing  []string // what could not be found out, see [Scan.Lacks]
}

// What a Scan may lack.
const (
	LacksInit    = "init"    // neither systemd nor OpenRC
	LacksSockets = "sockets" // no /proc/net/tcp
	LacksWeb     = "web"     // neither curl, wget nor bash
	LacksWebs    = "webs"    // more ports than are asked in one scan
	LacksDocker  = "docker"  // it is installed, and does not answer
	LacksPodman  = "podman"  // the same
)

// Lacks reports whether what could not be found out.
func (s Scan) Lacks(what string) bool { return slices.Contains(s.Missing, what) }

// ServiceKind says what manages a service.
type ServiceKind string

// Kinds of services.
const (
	Systemd ServiceKind = "systemd"
	OpenRC  ServiceKind = "openrc"
	Docker  ServiceKind = "docker"
	Podman  ServiceKind = "podman"
	Process ServiceKind = "process" // it listens, and belongs to none of the others
)

// ServiceState is what became of a service.
type ServiceState string

// States of services, the worst first.
const (
	ServiceFailed   ServiceState = "failed"
	ServiceStopped  ServiceState = "stopped" // and it is expected to run
	ServiceStarting ServiceState = "starting"
	ServiceRunning  ServiceState = "running"
)

// Service is one service, container or listening process. Its texts are the
// container's: valid UTF-8 without control characters, and cut short.
type Service struct {
	Kind   ServiceKind
	Unit   string // what the container calls it: "nginx.service"
	Name   string // for people: "nginx"
	State  ServiceState
	System bool // belongs to the operating system
	Ports  []Port
}

// Key names a service among those of its container.
func (s Service) Key() string { return string(s.Kind) + "/" + s.Unit }

// Port is a TCP port on which something listens.
type Port struct {
	Addr netip.Addr // unspecified: all of them
	Port uint16

	Web  string // "http" or "https" where it speaks that; else empty
	Web6 bool   // it did so over IPv6 only
}

// Loopback reports whether only the container itself reaches the port.
func (p Port) Loopback() bool { return p.Addr.IsLoopback() }

// AddrPort is where it listens.
func (p Port) AddrPort() netip.AddrPort { return netip.AddrPortFrom(p.Addr, p.Port) }

// systemNames are services of the operating systems themselves, by name
// without what follows an @.
var systemNames = strings.Fields(`
		acpid agetty anacron apparmor apt-daily apt-daily-upgrade atd auditd autofs avahi-daemon blk-availability bootmisc
		chronyd chrony cloud-config cloud-final cloud-init cloud-init-local cgroups console-getty console-setup container-getty
		cron crond crony cronie dbus dbus-broker devfs dhcpcd dhclient dm-event dmesg dnf-makecache dpkg-db-backup e2scrub_all
		e2scrub_reap emergency fstrim fsck fwupd getty getty-static grub-common haveged hostname hwclock hwdrivers ifupdown-pre
		ifupdown-wait-online initrd-cleanup irqbalance iscsid keyboard-setup killprocs kmod-static-nodes ldconfig loadkmap
		local localmount logrotate loopback lvm2-monitor machine-id man-db mdev mdmonitor ModemManager modules motd-news
		mount-ro multipathd mtab NetworkManager NetworkManager-dispatcher NetworkManager-wait-online netmount network
		networkd-dispatcher networking ntpd ntpsec nscd open-vm-tools openntpd packagekit pacman-init plymouth-quit polkit
		polkitd procfs qemu-guest-agent quotaon rc-local rescue resolvconf root rpcbind rsync rsyslog rsyslogd rtkit-daemon savecache
		seedrng serial-getty snapd snapd.seeded ssh sshd sshd-session sssd swap sysctl sysfs syslog syslog-ng sysstat
		tmpfiles-setup udev udevd udev-trigger udisks2 ufw unattended-upgrades unbound-anchor upower urandom user
		user-runtime-dir uuidd wpa_supplicant xinetd`)

// isSystem reports whether a service belongs to the operating system. A mail
// server that only the container itself reaches came with the distribution.
func isSystem(s Service) bool {
	base, _, _ := strings.Cut(s.Name, "@")
	switch {
	case s.Kind == Docker || s.Kind == Podman:
		return false
	case slices.Contains(systemNames, base), strings.HasPrefix(base, "systemd"):
		return true
	case base == "postfix" || base == "exim4" || base == "master" || base == "sendmail":
		return !slices.ContainsFunc(s.Ports, func(p Port) bool { return !p.Loopback() })
	}
	return false
}
