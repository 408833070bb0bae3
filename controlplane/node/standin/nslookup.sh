#!/bin/sh
# nslookup that follows the search list of /etc/resolv.conf, as images of busybox 1.28 and those with bind's do. The
# busybox of today's distributions does not, so `nslookup kubernetes.default` would find nothing.
# shellcheck disable=SC2086  # options are words
busybox=/usr/bin/busybox
options=
while [ "${1#-}" != "$1" ]; do
    options="$options $1"
    shift
done
name=$1
case $name in
"" | *. | *:*) exec $busybox nslookup $options "$@" ;;
*[!0-9.]*) shift ;;
*) exec $busybox nslookup $options "$@" ;;
esac
search='' ndots=1
while read -r word rest; do
    case $word in
    search) search=$rest ;;
    options)
        for option in $rest; do
            case $option in ndots:*) ndots=${option#ndots:} ;; esac
        done
        ;;
    esac
done </etc/resolv.conf
dots=$(printf %s "$name" | tr -cd . | wc -c)
candidates=
for domain in $search; do
    candidates="$candidates $name.$domain"
done
if [ "$dots" -ge "$ndots" ]; then
    candidates="$name $candidates"
else
    candidates="$candidates $name"
fi
for candidate in $candidates; do
    said=$($busybox nslookup $options "$candidate" "$@" 2>&1)
    status=$?
    case $status$said in
    0* | *"timed out"*) break ;;
    esac
done
printf '%s\n' "$said"
exit $status
