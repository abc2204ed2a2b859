# shellcheck shell=sh
# What the scripts share. To be read with `.` by a POSIX sh with `set -eu`; it leaves the shell in the project's root.
# No colours and no cursor tricks: the same output for a terminal, a file and a CI log.

root=$(cd "$(dirname "$0")/.." && pwd)
cd "$root" || exit 1

say() { printf '%s\n' "==> $*"; }
warn() { printf '%s\n' "warning: $*" >&2; }
die() {
    printf '%s\n' "error: $*" >&2
    exit 1
}
have() { command -v "$1" >/dev/null 2>&1; }

# Parallel jobs: every core, but a compiler or a sanitized test wants about a gigabyte.
jobs() {
    cores=$(nproc 2>/dev/null || echo 1)
    gigabytes=$(awk '/^MemAvailable:/ { print int($2 / 1048576) }' /proc/meminfo 2>/dev/null || echo "$cores")
    [ "${gigabytes:-0}" -ge 1 ] || gigabytes=1
    [ "$cores" -le "$gigabytes" ] || cores=$gigabytes
    echo "$cores"
}

# Configures a build directory and builds targets in it: build DIRECTORY "TARGET..." [CMAKE OPTION]...
# Quiet unless something is wrong, because the answer to "does it build" is one line. The log stays beside the build.
build() {
    build_dir=$1
    build_targets=$2
    shift 2
    mkdir -p "$build_dir"
    # A cache made for another place or with another compiler cannot be reconfigured: begin anew.
    if [ -f "$build_dir/CMakeCache.txt" ] &&
        ! grep -q "^CMAKE_HOME_DIRECTORY:INTERNAL=$root\$" "$build_dir/CMakeCache.txt"; then
        rm -rf "$build_dir"
        mkdir -p "$build_dir"
    fi
    if ! cmake -S "$root" -B "$build_dir" -G Ninja "$@" >"$build_dir/configure.log" 2>&1; then
        cat "$build_dir/configure.log" >&2
        return 1
    fi
    # shellcheck disable=SC2086 # the targets are words
    if ! ninja -C "$build_dir" -j "$(jobs)" $build_targets >"$build_dir/build.log" 2>&1; then
        grep -v '^\[[0-9]*/[0-9]*\] [A-Z]' "$build_dir/build.log" >&2
        return 1
    fi
    # Warnings of a build that succeeded are worth a look too.
    grep -A 6 ' warning: ' "$build_dir/build.log" >&2 || true
}
