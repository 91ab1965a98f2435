if ! command -v componentize-py >/dev/null; then
    if ! [ -e "$tools/installed" ]; then
        python3 -m venv "$tools"
        "$tools/bin/pip" install -q --disable-pip-version-check "componentize-py=={version}"
        touch "$tools/installed"
    fi
    export PATH="$tools/bin:$PATH"
fi
