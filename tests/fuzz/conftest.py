import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))  # what makes and damages files is beside the tests
