# Prints which services, containers and listening sockets there are, and
# changes nothing.
#
#	/bin/sh -s -- [PORT…]
#
# A PORT is not asked again whether it speaks HTTP. POSIX sh and /proc, with ls,
# sed, grep, cut and head; systemctl or rc-status, docker, podman, timeout and
# one of curl, wget and bash where they are there. The reply is lines, and what
# follows the last blank of a line's form may hold anything:
#
#	pvechat-scan 1                   what came before is noise
#	missing WHAT                     could not be found out, or is not there
#	init systemd|openrc
#	unit [KEY=VALUE]                 as systemctl show prints it
#	rc LINE                          as rc-status prints it
#	daemon PID NAME                  OpenRC's own note of a service's process
#	box ENGINE|ID|NAME|STATUS|RESTART|IMAGE|PORTS
#	listen ADDRESS:PORT INODE        in hex, as in /proc/net/tcp and tcp6
#	owner INODE PID
#	process PID PARENT COMMAND
#	cgroup PID LINE
#	web PORT SCHEME 4|6              and over which family it answered
#	end
#
# All is inside functions, so that half a script does nothing.

have() { command -v "$1" >/dev/null 2>&1; }

# limit runs a command for so many seconds at most.
limit() {
	if have timeout; then
		timeout "$@"
	else
		shift
		"$@"
	fi
}

init() {
	if [ -d "$root/run/systemd/system" ] && have systemctl; then
		echo 'init systemd'
		limit 8 systemctl show --no-pager '*.service' \
			--property=Id,Type,LoadState,ActiveState,SubState,UnitFileState,ConditionResult,TriggeredBy |
			cut -c 1-300 | head -n 8000 | sed 's/^/unit /'
	elif [ -d "$root/run/openrc" ] && have rc-status; then
		echo 'init openrc'
		limit 8 rc-status --nocolor --all | cut -c 1-300 | head -n 1000 | sed 's/^/rc /'
		for service in "$root"/run/openrc/daemons/*; do
			daemon "${service##*/}"
		done
	else
		echo 'missing init'
	fi
}

daemon() {
	for file in "$root/run/openrc/daemons/$1"/* "$root/run/supervise-$1.pid"; do
		[ -f "$file" ] || continue
		case $file in
		*.pid) pidfile=$file ;;
		*) pidfile=$root$(sed -n 's/^pidfile=//p' "$file" | head -n 1) ;;
		esac
		if [ -f "$pidfile" ] && read -r pid <"$pidfile" && [ "$pid" -gt 0 ]; then
			printf 'daemon %s %s\n' "$pid" "$1"
		fi
	done
}

boxes() {
	have "$1" || return
	if ! ids=$(limit 5 "$1" ps --all --quiet --no-trunc); then
		echo "missing $1"
		return
	fi
	ids=$(printf '%s\n' "$ids" | head -n 200)
	[ -n "$ids" ] || return
	# shellcheck disable=SC2086 # several words
	limit 5 "$1" inspect --type container --format "box $1"'|{{.Id}}|{{.Name}}|{{.State.Status}}|{{.HostConfig.RestartPolicy.Name}}|{{.Config.Image}}|{{range $port, $to := .NetworkSettings.Ports}}{{range $to}}{{.HostPort}} {{end}}{{end}}' $ids |
		cut -c 1-600 || echo "missing $1"
}

# sockets tells what listens, and who.
sockets() {
	listening=$(
		for file in "$root/proc/net/tcp" "$root/proc/net/tcp6"; do
			[ -r "$file" ] || continue
			grep ' 0A ' "$file" | head -n 500 | while read -r _ here _ _ _ _ _ _ _ inode _; do
				echo "$here $inode"
			done
		done
	)
	if [ -z "$listening" ]; then
		[ -r "$root/proc/net/tcp" ] || echo 'missing sockets'
		return
	fi
	printf '%s\n' "$listening" | sed 's/^/listen /'

	inodes=$(printf '%s\n' "$listening" | sed 's/.* //' | tr '\n' '|')
	last=
	# With one directory alone ls would not say which.
	ls -l "$root"/proc/[0-9]*/fd /dev/null 2>/dev/null |
		sed -n 's|^.*/proc/\([0-9]*\)/fd:$|p \1|p; s|^l.* -> socket:\[\([0-9]*\)\]$|s \1|p' |
		grep -E "^p|^s (${inodes}none)\$" | grep -B 1 '^s' | grep -v '^-' | head -n 4000 | while read -r kind number; do
		if [ "$kind" = p ]; then
			pid=$number
			continue
		fi
		echo "owner $number $pid"
		if [ "$pid" != "$last" ]; then
			last=$pid
			process "$pid"
		fi
	done
}

process() {
	parent=0
	command='?'
	if [ -r "$root/proc/$1/status" ]; then
		while read -r key value; do
			if [ "$key" = PPid: ]; then
				parent=$value
				break
			fi
		done <"$root/proc/$1/status"
	fi
	if [ -r "$root/proc/$1/comm" ]; then
		IFS= read -r command <"$root/proc/$1/comm"
	fi
	printf 'process %s %s %s\n' "$1" "$parent" "$command"
	if [ -r "$root/proc/$1/cgroup" ]; then
		head -n 20 "$root/proc/$1/cgroup" | cut -c 1-600 | sed "s/^/cgroup $1 /"
	fi
}

# webs asks what listens for the outside whether it speaks HTTP, all at once.
webs() {
	if ! have curl && ! have wget && ! have bash; then
		echo 'missing web'
		return
	fi
	count=0
	asked=" $* $others "
	for socket in $(printf '%s\n' "$listening" | sed 's/ .*//'); do
		port=$((0x${socket##*:}))
		case $asked in *" $port "*) continue ;; esac
		case ${socket%:*} in
		00000000 | 00000000000000000000000000000000) host=127.0.0.1 ;;
		??????7F | 00000000000000000000000001000000) continue ;;
		0000000000000000FFFF0000*) quad "${socket%:*}" ;;
		????????????????????????????????) continue ;;
		*) quad "${socket%:*}" ;;
		esac
		asked="$asked$port "
		count=$((count + 1))
		if [ $count -gt 24 ]; then
			echo 'missing webs'
			break
		fi
		web "$host" $port &
	done
	wait
}

# others are ports of protocols that HTTP would only disturb.
others='21 22 23 25 53 88 110 111 135 137 138 139 143 389 445 464 465 514 587 636 853 873 993 995 1433 1521 1883 2049 3306 3389 4369 5060 5222 5269 5432 5672 5900 6379 6667 8883 9042 9092 11211 25565 27017 33060'

# quad makes an address of the last four bytes, the lowest first.
quad() {
	rest=${1#"${1%????????}"}
	host=
	for _ in 1 2 3 4; do
		first=${rest%"${rest#??}"}
		rest=${rest#??}
		host=$((0x$first))${host:+.$host}
	done
}

web() {
	for host in "$1" ::1; do
		if [ "$host" = ::1 ]; then
			[ "$1" = 127.0.0.1 ] && [ -r "$root/proc/net/if_inet6" ] || continue
			at="[::1]:$2"
			family=6
		else
			at=$host:$2
			family=4
		fi
		code=$(status http "$at")
		case $code in
		late) return ;;
		'' | 400) # TLS that was spoken to in plain says one of these
			case $(status https "$at") in
			late) return ;;
			?*)
				echo "web $2 https $family"
				return
				;;
			esac
			;;
		esac
		if [ -n "$code" ]; then
			echo "web $2 http $family"
			return
		fi
	done
}

# status prints the status of an answer, "late", or nothing where there is none.
status() {
	if have curl; then
		answer=$(curl -s -k -o /dev/null -m 2 --noproxy '*' -A pvechat -w '%{http_code}' "$1://$2/")
	elif have wget; then
		answer=$(limit 2 wget --spider -S -T 3 -U pvechat --no-check-certificate -O /dev/null "$1://$2/" 2>&1)
	else
		here=${2%:*}
		here=${here#[}
		# shellcheck disable=SC2016 # these are bash's
		answer=$(limit 2 bash -c 'exec 3<>"/dev/tcp/$0/$1" && printf "GET / HTTP/1.0\r\nUser-Agent: pvechat\r\n\r\n" >&3 && head -c 600 <&3 | tr -d "\000"' \
			"${here%]}" "${2##*:}")
	fi
	case $? in
	28 | 124 | 143) # curl's word for it, timeout's, and busybox's
		echo late
		return
		;;
	esac
	if have curl; then
		[ "$answer" = 000 ] || echo "$answer"
	elif have wget || [ "$1" = http ]; then
		printf '%s\n' "$answer" | sed -n 's|.*HTTP/[0-9.]* \([0-9][0-9][0-9]\).*|\1|p' | head -n 1
	else
		printf '%s\n' "$answer" | grep -E 'HTTPS|SSL' # all that can be told without a client
	fi
}

main() {
	LC_ALL=C
	PATH=$PATH:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
	export LC_ALL PATH
	root=

	printf '\npvechat-scan 1\n'
	init
	boxes docker
	boxes podman
	sockets
	webs "$@"
	echo end
}

main "$@" 2>/dev/null </dev/null
