#!/usr/bin/env python3
"""Fails if a hot loop of a built artifact calls a function: a function that was not inlined into its trampoline loses the
instruction set (see src/simd).

    cargo bench --bench step --no-run && scripts/hot_loops.py target/release/deps/step-*

A hot loop is an innermost loop (a jump back within a function of this crate, over code without one) with a vector multiply-add in it.
At least one with 512-bit and one with 256-bit registers must be there, so that the check cannot pass for want of loops. x86-64 only.
"""

import re
import subprocess
import sys

FUNCTION = re.compile(r'^[0-9a-f]+ <(.*)>:$')
INSTRUCTION = re.compile(r'^\s*([0-9a-f]+):\s+(\S+)\s*(.*)$')
FMA = re.compile(r'^v(fn?madd|fn?msub)\w*p[sd]$')


def functions(path):
    """Name and instructions (address, mnemonic, operands) of each function of the crate."""
    command = ['objdump', '--disassemble', '--demangle', '--no-show-raw-insn', path]
    name, body = None, []
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as dump:
        for line in dump.stdout:
            if found := FUNCTION.match(line):
                if name and 'flatmin' in name:
                    yield name, body
                name, body = found[1], []
            elif found := INSTRUCTION.match(line):
                body.append((int(found[1], 16), found[2], found[3]))
    if name and 'flatmin' in name:
        yield name, body
    if dump.returncode:
        sys.exit(f'objdump failed on {path}')


def innermost_loops(body):
    """Runs of instructions that end with a jump back to their first, and hold no other such jump."""
    index = {address: at for at, (address, _, _) in enumerate(body)}
    loops = []
    for at, (address, mnemonic, operands) in enumerate(body):
        target = re.match(r'([0-9a-f]+)\b', operands) if mnemonic.startswith('j') else None
        start = index.get(int(target[1], 16)) if target else None
        if start is not None and start <= at:
            loops.append((start, at))
    for start, end in loops:
        if not any(start <= other and stop < end for other, stop in loops):
            yield body[start:end + 1]


def main(paths):
    hot, bad = {'zmm': 0, 'ymm': 0}, []
    for path in paths:
        if path.endswith('.d'):
            continue
        for name, body in functions(path):
            for loop in innermost_loops(body):
                widths = [operands for _, mnemonic, operands in loop if FMA.match(mnemonic)]
                if not widths:
                    continue
                for register in hot:
                    hot[register] += any(register in operands for operands in widths)
                bad += [f'{name} at {address:x}: {mnemonic} {operands}' for address, mnemonic, operands in loop
                        if mnemonic.startswith('call')]
    print(f"hot loops: {hot['zmm']} on 512-bit, {hot['ymm']} on 256-bit registers; calls in them: {len(bad)}")
    print(*bad[:20], sep='\n', end='')
    if bad or not all(hot.values()):
        sys.exit(1)


if __name__ == '__main__':
    main(sys.argv[1:] or sys.exit(__doc__))
