// 255 minus every byte of standard input, to standard output.
#include <algorithm>
#include <iostream>
#include <iterator>
#include <vector>

int main() {
    std::ios::sync_with_stdio(false);
    std::vector<char> bytes((std::istreambuf_iterator<char>(std::cin)), {});
    std::transform(bytes.begin(), bytes.end(), bytes.begin(), [](unsigned char byte) { return char(255 - byte); });
    std::cout.write(bytes.data(), std::streamsize(bytes.size())).flush();
    return std::cout ? 0 : 1;
}
