# make lab: open the course.  make test: run every check, some minutes (test-fast: but
# for those in a browser; test-long: those that take an hour).  make demo: paint a cat.
# Each makes .venv first if it is not there, or if its requirements have changed: lab and
# demo need requirements.txt, tests and tools requirements-dev.txt as well.
# make lab TORCH=cpu, the first time, installs PyTorch without CUDA from its own index.
# make kit: one folder to copy, from which a class sets up without a network.
# make course.zip: what a notebook opened elsewhere, as on Colab, needs beside it.
# For authors: make notebooks runs every notebook and keeps its outputs; make pictures
# paints what the README shows; make site builds the web site into site/.

PYTHON ?= python3
BIN := .venv/bin
INDEX := $(if $(TORCH),--extra-index-url https://download.pytorch.org/whl/$(TORCH))
PIP := $(BIN)/pip install --disable-pip-version-check $(INDEX)
FIRST := $(firstword $(sort $(wildcard notebooks/*.ipynb)))

# Threads that wait shall not spin: two programs at once would starve each other.
export OMP_WAIT_POLICY ?= PASSIVE

PAINT := $(BIN)/python -m nst_helpers --yes
GALLERY := grace_hopper-hokusai_great_wave lake-kandinsky_composition_viii \
	cat-morisot_hollyhocks temple-hashiguchi_ducks spices-cassatt_summertime \
	colosseum-morisot_hollyhocks

# In a kit, the packages are at hand and no index is asked.
ifneq ($(wildcard packages),)
export PIP_NO_INDEX := 1
export PIP_FIND_LINKS := packages
endif

.PHONY: lab test test-fast test-long bench demo kit course.zip notebooks pictures site

# The studio takes uploads as messages, which the server limits to 10 MB.
lab: .venv/ready
	$(BIN)/jupyter lab --LabApp.default_url=/lab/tree/$(FIRST) \
		--ServerApp.tornado_settings="{'websocket_max_message_size': 100_000_000}" \
		$(if $(filter 0,$(shell id -u)),--allow-root)

test: ONLY = not long
test-fast: ONLY = not long and not browser
# Two at a time, with a thread each, share two cores best.
test test-fast: .venv/dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	NST_STEPS=2 OMP_NUM_THREADS=1 $(BIN)/pytest -n 2 --dist loadfile -m "$(ONLY)" \
		--nbval-lax --nbval-cell-timeout=300 --ignore tests/test_site.py \
		--ignore notebooks/exam --ignore notebooks/solutions \
		tests/test_solutions.py notebooks tests/test_studio.py tests/test_browser.py \
		tests  # longest first

test-long: .venv/dev
	$(BIN)/pytest --hypothesis-profile=long --ignore tests/test_site.py tests \
		--nbval-lax notebooks/exam

bench: .venv/ready
	$(BIN)/python tests/bench/bench.py

demo: .venv/ready
	$(PAINT) images/content/cat.jpg images/style/hokusai_great_wave.jpg -o demo.png --size 512

# KIT is for options of kit.py and of pip download, such as
# KIT="-d /media/stick/kit --platform win_amd64 --python-version 3.12"
kit: .venv/ready
	$(BIN)/python notebooks/kit.py $(KIT)

course.zip:
	git archive --prefix=course/ --output=$@ HEAD images nst_helpers notebooks \
		pyproject.toml requirements.txt README.md LICENSE LICENSE-text
	@du -h $@

notebooks: .venv/ready
	env -u NST_STEPS $(BIN)/python notebooks/run.py notebooks/*.ipynb notebooks/*/*.ipynb

pictures: .venv/dev
	$(PAINT) images/content/colosseum.jpg \
		images/style/van_gogh_village_street_in_auvers.jpg \
		-o images/results/hero.jpg --size 1024
	set -e; for pair in $(GALLERY); do $(PAINT) images/content/$${pair%%-*}.jpg \
		images/style/$${pair#*-}.jpg -o images/results/$$pair.jpg; done
	$(BIN)/python tests/bench/studio.py film images/results/studio.webp

site: .venv/site build/static/mathjax/LICENSE
	rm -rf site build/site
	$(BIN)/sphinx-build -q -E -W --keep-going -c docs -d build/doctrees . build/site
	mv build/site site
	echo '<meta http-equiv="refresh" content="0; url=docs/index.html">' > site/index.html
	$(BIN)/pytest -q tests/test_site.py

.venv/site: docs/requirements.txt .venv/dev
	$(BIN)/pip install --disable-pip-version-check -r docs/requirements.txt
	@touch $@

# What draws formulas comes along, so that the pages need no network.
build/static/mathjax/LICENSE:
	@command -v npm > /dev/null || { echo "make site needs npm, once: it brings MathJax, \
	which draws the formulas; install Node.js"; exit 1; }
	mkdir -p $(@D)
	npm pack --silent --pack-destination build mathjax@3.2.2
	tar -xzmf build/mathjax-3.2.2.tgz -C $(@D) --strip-components=1 \
		package/es5/tex-svg-full.js package/LICENSE

# Without the mark, the last set-up did not finish: start from nothing. A class may have
# no network: JupyterLab asks nothing about news, and looks for no updates.
.venv/ready: requirements.txt
	@$(PYTHON) -c 'import sys; sys.version_info >= (3, 10) or sys.exit( \
		"Python 3.10 or newer is needed; say make PYTHON=/path/to/python3")'
	@test -e $@ || $(PYTHON) -m venv --clear .venv
	@rm -f $@
	$(PIP) -r requirements.txt
	@$(BIN)/jupyter labextension disable --level=sys_prefix \
		@jupyterlab/apputils-extension:announcements
	@touch $@

.venv/dev: requirements-dev.txt .venv/ready
	$(PIP) -r requirements-dev.txt
	@touch $@
