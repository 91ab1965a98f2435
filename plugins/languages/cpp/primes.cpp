// `lo hi` on each line: how many primes lie in [lo, hi). By trial division: the work is the point.
#include <charconv>
#include <optional>
#define TASKHOST_REDUCE
#include "taskhost.hpp"

TASKHOST_DESCRIBE({
    .summary = "Counts the primes in [lo, hi) for each line `lo hi`; --merge reduce gives the sum.",
    .split = "lines",
    .merge = "lines",
})

namespace {

bool is_prime(std::uint32_t number) {
    if (number < 2) return false;
    for (std::uint32_t divisor = 2; divisor <= number / divisor; ++divisor)
        if (number % divisor == 0) return false;
    return true;
}

// Takes a whole number, with the white space before it, off the front.
template <typename Number>
std::optional<Number> take_number(std::string_view &text) {
    while (!text.empty() && (text.front() == ' ' || text.front() == '\t' || text.front() == '\r')) text.remove_prefix(1);
    Number number;
    auto [end, problem] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (problem != std::errc{}) return std::nullopt;
    text.remove_prefix(end - text.data());
    return number;
}

}  // namespace

taskhost::result process(taskhost::item item) {
    auto text = taskhost::text(item);
    auto low = take_number<std::uint32_t>(text), high = take_number<std::uint32_t>(text);
    if (!low || !high || text.find_first_not_of(" \t\r") != text.npos)
        return taskhost::invalid_input("expected two whole numbers `lo hi`");
    std::uint64_t count = 0;
    for (auto number = *low; number < *high; ++number) count += is_prime(number);
    return std::to_string(count);
}

taskhost::result combine(taskhost::parts parts) {
    std::uint64_t sum = 0;
    for (auto part : parts) {
        auto text = taskhost::text(part);
        sum += take_number<std::uint64_t>(text).value_or(0);
    }
    return std::to_string(sum);
}

taskhost::result finish(taskhost::item total) { return std::string(taskhost::text(total)) + '\n'; }
