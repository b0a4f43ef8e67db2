#pragma once
enum G4ExceptionSeverity { FatalException, FatalErrorInArgument, RunMustBeAborted, EventMustBeAborted, JustWarning };

void G4Exception(const char* origin, const char* code, G4ExceptionSeverity severity, const char* comments);
