#pragma once
/*
 * `cairn workflow`: runs and checks Arazzo documents. argv[0] is the name of the command, the rest its arguments.
 * Returns the exit code: 0 done, 1 a step failed, 2 wrong usage or an invalid document or input (nothing was sent).
 */
int cmd_workflow(int argc, char **argv);
