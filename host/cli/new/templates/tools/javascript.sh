if ! command -v componentize-qjs >/dev/null; then
    if ! [ -e "$tools/installed" ]; then
        mkdir -p "$tools"
        npm install --prefix "$tools" --silent --no-audit --no-fund --no-update-notifier "componentize-qjs@{version}"
        touch "$tools/installed"
    fi
    export PATH="$tools/node_modules/.bin:$PATH"
fi
