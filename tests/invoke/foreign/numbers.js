function isPrime(n) {
    const number = Number(n);
    for (let divisor = 2; divisor * divisor <= number; divisor++) {
        if (number % divisor === 0) return false;
    }
    return number > 1;
}

function swap(pairs) {
    if (pairs.length === 0) throw "nothing to swap";
    return pairs.map((pair) => [pair.second, pair.first]);
}

export const math = { isPrime, swap };
