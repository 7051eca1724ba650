# make lab: open the course.  make test: run every check.  make demo: paint a cat.
# Each makes .venv first if it is not there, or if requirements.txt has changed.

PYTHON ?= python3
BIN := .venv/bin
FIRST := $(firstword $(sort $(wildcard notebooks/*.ipynb)))

.PHONY: lab test demo

lab: .venv/ready
	$(BIN)/jupyter lab $(if $(filter 0,$(shell id -u)),--allow-root) $(FIRST)

test: .venv/ready
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pytest
	NST_STEPS=3 $(BIN)/pytest --nbval-lax --nbval-cell-timeout=300 notebooks

demo: .venv/ready
	$(BIN)/python -m nst_helpers images/content/cat.jpg \
		images/style/hokusai_great_wave.jpg -o demo.png --yes

# Without the mark, the last set-up did not finish: start from nothing.
.venv/ready: requirements.txt
	@$(PYTHON) -c 'import sys; sys.version_info >= (3, 10) or sys.exit( \
		"Python 3.10 or newer is needed; say make PYTHON=/path/to/python3")'
	@test -e $@ || $(PYTHON) -m venv --clear .venv
	@rm -f $@
	$(BIN)/pip install --disable-pip-version-check -r requirements.txt
	@touch $@
