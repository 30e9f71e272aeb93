# Prints the files of /etc/pvechat/credentials, and further ones, and changes
# nothing.
#
#	/bin/sh -s -- [SERVICE] [NAME=FILE…]
#
# Without a SERVICE all are told. A FILE is one elsewhere, of the service NAME.
#
# POSIX sh and od, and a stat that knows -c (GNU, busybox). The reply is lines:
#
#	pvechat-credentials 1            what came before is noise
#	file NAME MODE MTIME SIZE        then the content in hex, then a dot
#	skip REASON                      then the file's name in hex, then a dot
#	stop REASON                      no more files are told
#	end
#
# All is inside functions, so that half a script does nothing.

hex() {
	limit=$1
	shift
	od -An -v -tx1 -N "$limit" "$@"
	echo .
}

skip() {
	echo "skip $1"
	printf %s "$2" | hex 255
}

tell() {
	name=$1
	path=${2:-$dir/$1}
	case $name in
	[!a-z0-9]* | *[!a-z0-9._-]*)
		skip name "$name"
		return
		;;
	esac
	if [ ${#name} -gt 63 ]; then
		skip name "$name"
	elif [ -L "$path" ]; then
		skip link "$name"
	elif [ ! -e "$path" ]; then
		skip absent "$name"
	elif [ ! -f "$path" ]; then
		skip irregular "$name"
	elif [ ! -r "$path" ]; then
		skip unreadable "$name"
	elif ! facts=$(stat -c '%a %Y %s' "$path"); then
		skip absent "$name"
	else
		size=${facts##* }
		if [ "$size" -gt 65536 ]; then
			skip large "$name"
		elif [ $((total + size)) -gt 262144 ]; then
			skip total "$name"
		else
			total=$((total + size))
			echo "file $name $facts"
			hex 65537 "$path"
		fi
	fi
}

# directory tells what is in the one place where installers write.
directory() {
	if [ -d "${dir%/*}" ] && [ ! -x "${dir%/*}" ]; then
		echo 'stop unreadable'
	elif [ ! -e "$dir" ]; then
		echo 'stop absent'
	elif [ ! -d "$dir" ]; then
		echo 'stop irregular'
	elif [ ! -r "$dir" ] || [ ! -x "$dir" ]; then
		echo 'stop unreadable'
	elif [ -n "$wanted" ]; then
		tell "$wanted"
	else
		for path in "$dir"/*; do
			if [ ! -e "$path" ] && [ ! -L "$path" ]; then
				continue
			fi
			count=$((count + 1))
			if [ $count -gt 50 ]; then
				echo 'stop many'
				break
			fi
			tell "${path##*/}"
		done
	fi
}

main() {
	LC_ALL=C
	PATH=$PATH:/usr/sbin:/usr/bin:/sbin:/bin
	export LC_ALL PATH
	dir=/etc/pvechat/credentials
	total=0
	count=0
	wanted=
	for argument; do
		case $argument in *=*) ;; *) wanted=$argument ;; esac
	done

	printf '\npvechat-credentials 1\n'
	if ! command -v od >/dev/null; then
		echo 'stop od'
	elif ! stat -c %a / >/dev/null 2>&1; then
		echo 'stop stat'
	else
		directory
		for argument; do
			case $argument in *=*) ;; *) continue ;; esac
			if [ -z "$wanted" ] || [ "$wanted" = "${argument%%=*}" ]; then
				tell "${argument%%=*}" "${argument#*=}"
			fi
		done
	fi
	echo end
}

main "$@"
