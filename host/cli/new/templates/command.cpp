// Standard input backwards, to standard output: one item to a run.
#include <algorithm>
#include <iostream>
#include <iterator>
#include <vector>

int main() {
    std::ios::sync_with_stdio(false);
    std::vector<char> bytes((std::istreambuf_iterator<char>(std::cin)), {});
    std::reverse(bytes.begin(), bytes.end());
    std::cout.write(bytes.data(), std::streamsize(bytes.size())).flush();
    return std::cout ? 0 : 1;
}
