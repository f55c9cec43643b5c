import java.io.BufferedInputStream;
import java.io.FileInputStream;
import java.io.IOException;
import java.io.InputStream;
import java.util.Collections;
import java.util.zip.CRC32;
import java.util.zip.ZipEntry;
import java.util.zip.ZipFile;
import java.util.zip.ZipInputStream;

/**
 * Reads a ZIP to its end, as a ZipInputStream (`stream`) or a ZipFile (`file`): prints the members' names in order,
 * then size and CRC-32 of all their data in that order.
 */
class Members {
    static final CRC32 crc = new CRC32();
    static long size = 0;

    public static void main(String[] arguments) throws IOException {
        if (arguments[0].equals("stream")) {
            try (var zip = new ZipInputStream(new BufferedInputStream(new FileInputStream(arguments[1])))) {
                for (ZipEntry entry; (entry = zip.getNextEntry()) != null; ) {
                    read(entry, zip);
                }
            }
        } else {
            try (var zip = new ZipFile(arguments[1])) {
                for (var entry : Collections.list(zip.entries())) {
                    read(entry, zip.getInputStream(entry));
                }
            }
        }
        System.out.println(size + " " + crc.getValue());
    }

    static void read(ZipEntry entry, InputStream data) throws IOException {
        System.out.println(entry.getName());
        var buffer = new byte[1 << 16];
        for (int count; (count = data.read(buffer)) > 0; size += count) {
            crc.update(buffer, 0, count);
        }
    }
}
