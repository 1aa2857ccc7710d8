"""`python -m stt_study`, which is `stt`; for `torchrun -m stt_study`."""

from stt_study.cli import main

main()
