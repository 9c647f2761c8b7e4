# Notes in a folder: one file each, its name is its number. Sourced by the service and by its unit tests.
NOTES=${NOTES:-/tmp/notes}

# A number, nothing that leads elsewhere.
is_id() {
    case $1 in
    '' | *[!0-9]*) return 1 ;;
    *) return 0 ;;
    esac
}

# The text comes in by standard input; prints the number of the new note.
add() {
    mkdir -p "$NOTES"
    id=1
    # A folder is made by one only, also when many come at once.
    until mkdir "$NOTES/$id" 2>/dev/null; do id=$((id + 1)); done
    cat > "$NOTES/$id/text"
    echo "$id"
}

show() {
    is_id "$1" && cat "$NOTES/$1/text" 2>/dev/null
}

remove() {
    is_id "$1" && [ -d "$NOTES/$1" ] && rm -r "${NOTES:?}/$1"
}

all() {
    mkdir -p "$NOTES"
    for note in "$NOTES"/*; do
        [ -d "$note" ] && echo "${note##*/}"
    done
    return 0
}
