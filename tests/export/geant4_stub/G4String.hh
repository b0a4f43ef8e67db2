#pragma once
#include "globals.hh"
