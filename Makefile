# Each target is one script; see scripts/. Variables: PORT, TLS, TLS_PORT and BOUND (demo), JSON (bench), CI (test),
# SECONDS_EACH (fuzz), LOGINS and SEED (faults), PYTHON (set-up).
.PHONY: demo test check bench fuzz faults

demo:
	@scripts/demo

test:
	@scripts/test

check:
	@scripts/check

bench:
	@scripts/bench

fuzz:
	@scripts/fuzz

faults:
	@scripts/faults
