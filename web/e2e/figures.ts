// Prints what the measurements say, and nothing of how they were run.
import type { Reporter, TestCase, TestResult } from '@playwright/test/reporter';

export default class Figures implements Reporter {
  onStdOut(chunk: string | Buffer): void {
    process.stdout.write(chunk);
  }

  onTestEnd(test: TestCase, result: TestResult): void {
    if (result.status === 'passed') return;
    process.stdout.write(`${test.title}: ${result.status}\n${result.error?.stack ?? ''}\n`);
  }
}
