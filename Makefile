# Each target is one script; see scripts/. Variables: PORT (demo), JSON (bench), CI (test), PYTHON (set-up).
.PHONY: demo test check bench

demo:
	@scripts/demo

test:
	@scripts/test

check:
	@scripts/check

bench:
	@scripts/bench
