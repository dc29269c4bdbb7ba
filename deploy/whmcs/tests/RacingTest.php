<?php

namespace Vmline\Tests;

use WHMCS\Module\Server\Vmline\Webhook;

/**
 * Processes that bring the same events of the real gateway into one database at once: crons, and the doorbell.
 */
final class RacingTest extends RealCase
{
    private const SECRET_OF_DOORBELL = 'whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw';
    private const FIRST = 3001;
    private const LAST = 3012;
    private const SERVICES = self::LAST - self::FIRST + 1;

    private OtherWhmcs $other;

    protected function setUp(): void
    {
        parent::setUp();
        foreach (range(self::FIRST, self::LAST) as $id) {
            $this->service($id);
            $this->assertSame('success', vmline_CreateAccount($this->params([], $id)));
        }
        foreach (range(self::FIRST, self::LAST) as $id) {
            $this->ended('succeeded', $id);
        }
        $this->other = new OtherWhmcs(range(self::FIRST, self::LAST));
    }

    protected function tearDown(): void
    {
        if (isset($this->other)) {
            $this->other->close();
        }
    }

    public function testTwoCronsAndADoorbell(): void
    {
        $this->other->php('\WHMCS\Module\Server\Vmline\Meta::set("webhook:3", encrypt("' . self::SECRET_OF_DOORBELL . '"));');
        $web = $this->other->web();
        $crons = [];
        for ($i = 0; $i < 3; $i++) {
            $crons[] = $this->other->cron();
        }
        $this->assertSame(204, $this->ring($web, self::SECRET_OF_DOORBELL));
        foreach ($crons as $cron) {
            $this->assertSame(0, proc_close($cron), $this->other->log());
        }
        $this->assertSame(0, proc_close($this->other->cron()), 'the next run finds nothing left to do');
        $this->assertEachMailOnce();
        $this->assertSame(401, $this->ring($web, 'whsec_' . base64_encode(str_repeat('x', 24))));
    }

    /** A run that dies in the middle is taken over where it stopped. */
    public function testACronThatIsKilled(): void
    {
        for ($kills = 0; $kills < 6; $kills++) {
            $from = $this->cursor();
            $cron = $this->other->cron();
            while ($this->cursor() <= $from && proc_get_status($cron)['running']) {
                usleep(1000);
            }
            proc_terminate($cron, 9);
            proc_close($cron);
            $this->other->query('UPDATE mod_vmline_feeds SET held_until = 0'); // a minute later
        }
        $this->assertGreaterThan(0, $this->cursor());
        $this->assertSame(0, proc_close($this->other->cron()));
        $this->assertSame(self::SERVICES, $this->number("SELECT count(DISTINCT dedicatedip) FROM tblhosting WHERE dedicatedip <> ''"));
        $this->assertSame(self::SERVICES, $this->number("SELECT count(*) FROM tblhosting WHERE notes LIKE '%ready:%'"));
        $twice = $this->other->query("SELECT arguments, count(*) AS n FROM stand_in_calls WHERE function = 'SendEmail' GROUP BY arguments HAVING n > 1");
        $this->assertSame([], $twice, 'a mail went out twice');
    }

    private function assertEachMailOnce(): void
    {
        $mails = $this->other->query("SELECT arguments FROM stand_in_calls WHERE function = 'SendEmail'");
        $this->assertCount(self::SERVICES, $mails);
        $this->assertCount(self::SERVICES, array_unique(array_column($mails, 'arguments')));
        $this->assertSame([], $this->other->query("SELECT * FROM stand_in_calls WHERE function = 'logActivity'"));
        $twice = $this->other->query("SELECT id FROM tblhosting WHERE length(notes) - length(replace(notes, 'ready:', '')) <> 6");
        $this->assertSame([], $twice, 'the notes have it once');
    }

    private function cursor(): int
    {
        return $this->number('SELECT max(`cursor`) FROM mod_vmline_feeds');
    }

    private function number(string $sql): int
    {
        return (int) ($this->other->query($sql)[0][0] ?? 0);
    }

    private function ring(string $web, string $secret): int
    {
        $body = '{"type":"service.changed","timestamp":"2026-11-24T10:00:00Z","data":{"ref":"w1-3001"}}';
        $now = time();
        $handle = curl_init("$web/modules/servers/vmline/callback.php");
        curl_setopt_array($handle, [CURLOPT_POSTFIELDS => $body, CURLOPT_RETURNTRANSFER => true, CURLOPT_TIMEOUT => 60, CURLOPT_HTTPHEADER => [
            'Content-Type: application/json', 'webhook-id: msg_1', "webhook-timestamp: $now",
            'webhook-signature: ' . Webhook::sign('msg_1', $now, $body, $secret),
        ]]);
        curl_exec($handle);
        return (int) curl_getinfo($handle, CURLINFO_RESPONSE_CODE);
    }
}
