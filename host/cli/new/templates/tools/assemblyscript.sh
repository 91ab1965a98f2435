if ! command -v asc >/dev/null; then
    if ! [ -e "$tools/installed" ]; then
        mkdir -p "$tools"
        npm install --prefix "$tools" --silent --no-audit --no-fund --no-update-notifier "assemblyscript@{version}"
        touch "$tools/installed"
    fi
    export PATH="$tools/node_modules/.bin:$PATH"
fi
