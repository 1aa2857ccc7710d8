"""`python -m stt_core`, which is `stt`; for `torchrun -m stt_core`."""

from stt_study.cli import main

main()
