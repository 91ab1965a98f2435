// Each item in capitals (ASCII). The smallest kernel: one function, and what it is good for stands on the command line.
export const mapper = {
  process: (item) => item.map((byte) => (byte >= 97 && byte <= 122 ? byte - 32 : byte)),
};
