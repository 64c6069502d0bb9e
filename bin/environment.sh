# Sourced by the other scripts here: virtual environments at the checkout, each made once and kept until setup.cfg changes.
# Sets ROOT, and after `environment NAME EXTRA` PY, its python.

ROOT="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)"
unset PYTHONHOME PIP_TARGET PIP_PREFIX PIP_USER  # each of them sends an installation elsewhere

fail() {
    echo "$(basename "$0"): $*" >&2
    exit 2
}

# environment NAME EXTRA: make $ROOT/NAME with this package and its extra, unless it is there and current.
environment() {
    local home="$ROOT/$1" extra="$2" python="${PYTHON:-python3}" wanted log plain=()
    command -v "$python" >/dev/null 2>&1 || fail "no $python found: install Python 3.8 or newer, or name one with PYTHON="
    "$python" -c 'import sys; sys.exit(sys.version_info < (3, 8))' 2>/dev/null ||
        fail "$python is $("$python" -V 2>&1): Python 3.8 or newer is needed (name one with PYTHON=)"
    PY="$home/bin/python"

    # What the environment was made from: another Python or other dependencies make it anew.
    wanted="$("$python" -c 'import sys; print(sys.version, sys.base_prefix)'; cat "$ROOT/setup.cfg")"
    if [ "$(cat "$home/made-from" 2>/dev/null || true)" = "$wanted" ] && "$PY" -c 'import basket' 2>/dev/null; then
        return
    fi

    echo "$(basename "$0"): installing into ${home#"$ROOT"/} (once, some seconds)..." >&2
    log="$(mktemp)"
    # One that somebody else made is used as it is; ours is made anew, half-made ones too.
    if [ -e "$home/made-by-zester-basket" ] || ! [ -x "$PY" ]; then
        rm -rf "$home"
        mkdir -p "$home"
        : >"$home/made-by-zester-basket"
        "$python" -m venv "$home" >"$log" 2>&1 ||
            fail "cannot make a virtual environment, install python3-venv: $(tail -n 3 "$log"; rm -f "$log")"
    fi
    # A plain path entry instead of setuptools' import hook, which every Python started here would load.
    if "$PY" -m pip install --help 2>/dev/null | grep -e --config-settings >/dev/null; then
        plain=(--config-settings editable_mode=compat)
    fi
    (cd "$ROOT" && "$PY" -m pip install --quiet --disable-pip-version-check --no-input ${plain[@]+"${plain[@]}"} -e ".[$extra]") \
        >"$log" 2>&1 </dev/null || fail "cannot install the package: $(tail -n 5 "$log"; rm -f "$log")"
    rm -f "$log"
    printf '%s\n' "$wanted" >"$home/made-from"
}
