# Prints the last lines that a service wrote, and changes nothing.
#
#	/bin/sh -s -- systemd|openrc|docker|podman NAME
#
# The reply is lines:
#
#	pvechat-logs 1      what came before is noise
#	missing WHAT        nothing here keeps its lines
#	| LINE
#	end
#
# All is inside functions, so that half a script does nothing.

have() { command -v "$1" >/dev/null 2>&1; }

limit() {
	if have timeout; then
		timeout "$@"
	else
		shift
		"$@"
	fi
}

# lines are as many and as long as anybody reads.
lines() { tail -n 50 | cut -c 1-1000 | sed 's/^/| /'; }

main() {
	LC_ALL=C
	PATH=$PATH:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
	export LC_ALL PATH
	root=

	printf '\npvechat-logs 1\n'
	case $1 in
	systemd)
		if have journalctl; then
			limit 8 journalctl --no-pager --quiet --lines=50 --output=short-iso "--unit=$2" | lines
		else
			echo 'missing journalctl'
		fi
		;;
	openrc)
		found=
		for file in "$root/var/log/$2.log" "$root/var/log/$2/$2.log" "$root/var/log/$2/error.log"; do
			if [ -f "$file" ] && [ -r "$file" ]; then
				found=1
				tail -n 50 "$file" | lines
				break
			fi
		done
		if [ -z "$found" ] && [ -r "$root/var/log/messages" ]; then
			found=1
			tail -n 20000 "$root/var/log/messages" | grep -F -e " $2[" -e " $2:" | lines
		fi
		[ -n "$found" ] || echo 'missing file'
		;;
	docker | podman)
		if have "$1"; then
			limit 8 "$1" logs --tail 50 "$2" 2>&1 | lines
		else
			echo "missing $1"
		fi
		;;
	esac
	echo end
}

main "$@" 2>/dev/null </dev/null
