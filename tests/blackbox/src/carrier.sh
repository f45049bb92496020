# Gives taps in another namespace the carrier of wires that end in this one: `carrier.sh NAMESPACE WIRE=TAP...`. A line of
# output for each time that it looked.
namespace=$1
shift
follow() {
    for pair in "$@"; do
        case $(ip -o link show dev "${pair%=*}" 2>/dev/null) in
        *LOWER_UP*) carrier=on ;;
        *) carrier=off ;;
        esac
        # Either may be gone while a gateway ends.
        ip -n "$namespace" link set dev "${pair#*=}" carrier $carrier 2>/dev/null
    done
    echo "$carrier"
}
exec 3< <(exec ip monitor link)
follow "$@"
while read -r _ <&3; do
    follow "$@"
done
