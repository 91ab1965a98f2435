if ! command -v zig >/dev/null; then
    if ! [ -e "$tools/installed" ]; then
        python3 -m venv "$tools"
        "$tools/bin/pip" install -q --disable-pip-version-check "ziglang=={version}"
        touch "$tools/installed"
    fi
    zig() { "$tools/bin/python" -m ziglang "$@"; }
fi
